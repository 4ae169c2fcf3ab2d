// In: an Intent and a mesh repository. Out: a `World`: the mesh as it really runs, to look at, load and break.
// The lab is network namespaces, strongSwan, one agent a gateway, an engine, real packets over an emulated WAN.
// Start reading at world.ts (what a world can), then lab-world.ts, network.ts, relay/wan.ts; sim/ is the other world.
// Everything a lab starts is recorded under labsFolder() before it exists, so `cleanUp(id)` finds whatever a crash leaves.
// Others import from this file only.
export * from './bench/index.ts';
export * from './charon.ts';
export { createScreen, prepareDemo, runDemo, startPeakWatch, STORY, type Demo, type DemoOptions, type DemoResult, type PreparedDemo, type Screen } from './demo/index.ts';
export { CHANNEL_PORT, type EngineCommand, type EngineConfigFile } from './engine-process.ts';
export type { AgentConfigFile, LabNodeRuntime } from './gateway-process.ts';
export * from './lab-world.ts';
export { createMeshRepository, type MeshRepository, OPERATOR } from './mesh-repository.ts';
export { defaultProfiles, layoutLab, type LabLayout, type PathProfiles } from './net/index.ts';
export * from './network.ts';
export * from './operate.ts';
export { isLabPossible, type LabPossible } from './possible.ts';
export { underlayReport, type WanReport } from './relay/index.ts';
export { cleanUp, labFolder, labsFolder, newLabId } from './run/index.ts';
export type { ListedTunnel } from './sas.ts';
export type { StreamReport, StreamSender } from './traffic/index.ts';
export * from './world.ts';
