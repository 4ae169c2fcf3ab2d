// In: a folder with mesh-config/ and policies/, and a screen. Out: the main job told in ten steps on a real or a simulated mesh.
// The story is told once: steps/*.ts speak to a `World`, and both worlds answer.
// Start reading at story.ts, then steps/peak.ts; run-demo.ts builds the world and takes it down again.
// Every statement on screen is checked where it is made; figures come from packets. Tests run the same steps.
// Others import from this file only.
export { runDemo, prepareDemo, startPeakWatch, type DemoOptions, type DemoResult, type PreparedDemo } from './run-demo.ts';
export { createScreen, type Screen } from './screen.ts';
export { STORY } from './story.ts';
export type { Demo } from './demo.ts';
