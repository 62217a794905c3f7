/** `patchbay verify PATH…`: compares models with references that somebody else computed, and says how far off they are. */
import path from 'node:path'
import { InvalidArgumentError, type Command } from 'commander'
import { exactGroups } from '../../../preload/certificate'
import { asPatchbayError, PatchbayError, toWire, type WireError } from '../../../preload/errors'
import type { Provider } from '../../../preload/run'
import { subjectOf } from '../../analysis/parity/check'
import { findCases, hasWeights, type FoundCase } from '../../analysis/parity/find-cases'
import { checkLogits, checkTensors, isOfTensors } from '../../analysis/parity/gguf-case'
import { passes, type GroupResult } from '../../analysis/parity/groups'
import { checkReference, suppliedReference } from '../../analysis/parity/reference'
import { tolerances, toleranceOn } from '../../analysis/parity/tolerances'
import type { Engine } from '../../engine/engine'
import type { OpenModel } from '../../engine/open-model'
import { withModelOptions } from '../commands/model-option'
import { forTerminal } from '../output'
import { openByName, withEngine, type ModelOptions } from '../session'

interface VerifyOptions extends ModelOptions {
  tolerance?: number
  json?: boolean
}

interface CaseReport {
  case: string
  passed: boolean
  provider: Provider | null
  tolerance: number | null
  groups: GroupResult[]
  error: WireError | null
}

export function addVerify(program: Command): void {
  withModelOptions(
    program.command('verify').argument('<path...>', 'case folders, GGUF files, or folders of them'),
  )
    .description('Compare models with references; exit code 0 only if every case passes.')
    .option('--tolerance <t>', 'greatest relative error that passes', positive)
    .option('--json', 'one JSON line a case')
    .action(async (places: string[], options: VerifyOptions, command: Command) => {
      const model = command.getOptionValueSource('model') === 'cli' ? options.model : undefined
      const reports: CaseReport[] = []
      await withEngine(async (engine, signal) => {
        for (const place of places)
          for (const found of await findCases(place)) {
            signal.throwIfAborted()
            const report = await verify(engine, found, model, options)
            reports.push(report)
            console.log(options.json === true ? JSON.stringify(report) : line(report))
          }
      })
      const failed = reports.filter(({ passed }) => !passed).length
      console.log(`${reports.length - failed} passed, ${failed} failed`)
      if (failed > 0) process.exitCode = 1
    })
}

async function verify(
  engine: Engine,
  found: FoundCase,
  modelName: string | undefined,
  options: VerifyOptions,
): Promise<CaseReport> {
  const { name } = found
  try {
    const { provider, usual, groups } =
      found.kind === 'gguf'
        ? await verifyGguf(engine, found, options)
        : await verifyFolder(engine, found.folder, modelName, options)
    const tolerance = options.tolerance ?? usual
    return { case: name, passed: passes(groups, tolerance), provider, tolerance, groups, error: null }
  } catch (thrown) {
    const error = toWire(asPatchbayError(thrown))
    return { case: name, passed: false, provider: null, tolerance: null, groups: [], error }
  }
}

interface Comparison {
  /** null where nothing was run, only read. */
  provider: Provider | null
  /** The tolerance where the person does not say. */
  usual: number
  groups: GroupResult[]
}

async function verifyFolder(
  engine: Engine,
  folder: string,
  modelName: string | undefined,
  options: VerifyOptions,
): Promise<Comparison> {
  const own = await hasWeights(folder)
  if (!own && modelName === undefined)
    throw new PatchbayError('file.missing', `${path.basename(folder)} has no weights of its own.`, {
      next: 'Say which model it is about with --model FILE.',
      file: folder,
    })
  const reference = await suppliedReference(folder)
  return withOpenModel(engine, own ? folder : (modelName ?? ''), options, own, (model) =>
    checkReference(model, reference),
  )
}

async function verifyGguf(
  engine: Engine,
  { file, expectation }: Extract<FoundCase, { kind: 'gguf' }>,
  options: VerifyOptions,
): Promise<Comparison> {
  if (expectation === null)
    throw new PatchbayError('file.missing', `There is nothing that ${path.basename(file)} must reproduce.`, {
      next: 'Put its expected logits beside it, as NAME.expected.safetensors.',
      file,
    })
  if (await isOfTensors(expectation))
    return { provider: null, usual: tolerances.tensors, groups: await checkTensors(file, expectation) }
  return withOpenModel(engine, file, options, true, async (model) => ({
    usual: tolerances.gguf,
    groups: await checkLogits(subjectOf(model), expectation),
  }))
}

/** Compares with a model that is open for the time of it. */
async function withOpenModel(
  engine: Engine,
  model: string,
  options: VerifyOptions,
  close: boolean,
  compare: (model: OpenModel) => Promise<{ usual: number; groups: GroupResult[] }>,
): Promise<Comparison> {
  const { handle } = await openByName(engine, { ...options, model })
  const open = await engine.models.get(handle)
  const { usual, groups } = await compare(open)
  if (close) await engine.models.close(handle)
  const { provider } = open.facts
  // Asked for an accelerator, the CPU's numbers would say nothing about it.
  if (options.provider !== 'auto' && provider !== options.provider)
    throw new PatchbayError(
      'provider.unavailable',
      open.description.providerNote ?? `${options.provider} is not there.`,
    )
  return { provider, usual: toleranceOn(provider, usual), groups }
}

function line({ case: name, passed, provider, tolerance, groups, error }: CaseReport): string {
  if (error !== null)
    return `FAIL  ${name}  ${forTerminal(error.message)}${error.next === undefined ? '' : ` ${error.next}`}`
  const figures = groups.map(({ group, worst, worstTensor }) => {
    if (exactGroups.has(group))
      return `${group} ${worst === 0 ? 'equal' : `${(worst * 100).toFixed(1)} % differ`}`
    const bad = worst <= (tolerance ?? 0) ? '' : ` (${worstTensor})`
    return `${group} ${worst.toExponential(1)}${bad}`
  })
  return `${passed ? 'pass' : 'FAIL'}  ${name}  ${provider ?? 'read'}, ≤ ${tolerance?.toExponential(0)}:  ${figures.join('  ')}`
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('Give a number above 0, such as 5e-5.')
  return value
}
