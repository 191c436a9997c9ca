"""The Adamscope app: navigation, pages, command line."""
