// What a run's states are called.

export const STATES = {
  queued: "Queued", starting: "Starting", running: "Training", paused: "Paused", finished: "Finished", stopped: "Stopped", failed: "Failed",
  interrupted: "Interrupted",
};
