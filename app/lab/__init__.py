"""The lab's page: what is asked for, what it shows, and the component that draws it."""
