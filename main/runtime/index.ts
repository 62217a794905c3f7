/**
 * What the rooms above use of the runtime.
 *
 * - `loadModel` makes a checkpoint and its spec ready: weights placed, provider chosen, blocks compiled.
 * - `forecastMemory` says before that what it will take.
 * - `executeRun` and `generate` do what a `RunRequest` or `GenerateRequest` says; a request with `backward` gives gradients.
 * - `BlockStack` is the model underneath, for work that needs more than a request can say: start and stop at any block, go
 *   on from a `KeyValueCache`, interventions laid out per row (`prepareInterventions`, `layOut`).
 * - `ReadoutHead` reads next-token distributions out of residual-stream rows.
 * - `loadExported` makes an ONNX file that somebody else exported ready; `ExportedStack` then stands where `BlockStack` does.
 * - `WholeModel` is the same model as one graph: the floor of benchmarks.
 */
export { loadModel, type LoadedModel, type LoadProgress, type LoadRequest } from './load'
export { availableMemory, choicesWithin, fitsWithin, forecastMemory, memoryAdvice } from './forecast'
export { executeRun, type ExecuteOptions } from './request'
export { generate, type GeneratedRow, type GenerateOptions } from './generate'
export { decodeGiven } from './decode'
export { BlockStack } from './stack'
export type { ForwardRequest, ForwardResult } from './forward'
export { KeyValueCache } from './kv'
export { layOut, prepareInterventions, type PortsByHook, type PreparedIntervention } from './interventions'
export { ReadoutHead } from './readout'
export { chooseProvider, providerReports, testProvider } from './providers'
export { loadExported, planCheckpoint, type LoadedExport } from './exported/load'
export { ExportedStack } from './exported/stack'
export { reportOf } from './exported/report'
export type { Hook, Runnable } from './runnable'
export { WholeModel, wholeGraph } from './whole'
export { onnxruntimeVersion } from './version'
