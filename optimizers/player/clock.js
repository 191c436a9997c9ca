// The playhead: where in time we are, and whether time is running.

export const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 20];
const STEPS_PER_SECOND = 24; // at speed 1×: a race of 400 steps takes 17 s

/**
 * A clock over steps 0 … length. Calls draw() once per animation frame while time runs, or after refresh(), and
 * never otherwise; changed() when it starts or stops.
 */
export function createClock({ draw, changed }) {
  let frame = 0;
  let before = 0;

  const clock = {
    step: 0, // a fraction between two steps while it runs
    length: 1,
    speed: 1,
    playing: false,
    held: false, // a hand is on a slider: time waits
    loop: false,
    frames: 0,
    get whole() {
      return Math.min(clock.length, Math.floor(clock.step + 1e-6));
    },
    play() {
      if (clock.step >= clock.length) clock.step = 0;
      clock.playing = true;
      before = 0;
      clock.refresh();
      changed();
    },
    pause() {
      if (!clock.playing) return;
      clock.playing = false;
      clock.step = clock.whole;
      clock.refresh();
      changed();
    },
    toggle: () => (clock.playing ? clock.pause() : clock.play()),
    seek(step) {
      clock.playing = false;
      clock.step = Math.max(0, Math.min(clock.length, Math.round(step)));
      clock.refresh();
      changed();
    },
    resize(length) {
      clock.length = length;
      clock.step = Math.min(clock.step, length);
    },
    refresh() {
      if (!frame) frame = requestAnimationFrame(tick);
    },
    stop() {
      cancelAnimationFrame(frame);
      clock.playing = false;
      frame = -1; // nothing starts it again
    },
  };

  function tick(now) {
    if (frame < 0) return;
    frame = 0;
    const running = clock.playing && !clock.held;
    if (running) {
      // After a hidden tab or a long frame time goes on from where it was, it does not leap.
      const seconds = before ? Math.min(0.1, (now - before) / 1000) : 0;
      clock.step += seconds * STEPS_PER_SECOND * clock.speed;
      if (clock.step >= clock.length) {
        if (clock.loop) clock.step = 0;
        else {
          clock.step = clock.length;
          clock.playing = false;
          changed();
        }
      }
    }
    before = running ? now : 0;
    clock.frames += 1;
    draw();
    if (clock.playing && !clock.held) clock.refresh();
  }

  return clock;
}
