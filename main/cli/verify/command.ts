/** `patchbay verify PATH…`: compares models with references that somebody else computed, and says how far off they are. */
import path from 'node:path'
import { InvalidArgumentError, type Command } from 'commander'
import { exactGroups } from '../../../preload/certificate'
import { asPatchbayError, PatchbayError, toWire, type WireError } from '../../../preload/errors'
import type { Provider } from '../../../preload/run'
import { checkAttribution } from '../../analysis/parity/attribution-case'
import { subjectOf } from '../../analysis/parity/check'
import { findCases, hasWeights, type FoundCase } from '../../analysis/parity/find-cases'
import { checkLogits, checkTensors, isOfTensors } from '../../analysis/parity/gguf-case'
import { allowed, passes, type GroupResult } from '../../analysis/parity/groups'
import { interopCase } from '../../analysis/parity/interop'
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
  /** Why it was not compared; no failure. Null where it was. */
  skipped: string | null
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
      const compared = reports.filter(({ skipped }) => skipped === null)
      const failed = compared.filter(({ passed }) => !passed).length
      const unread = reports.length - compared.length
      const left = unread === 0 ? '' : `, ${unread} cannot be read yet`
      if (options.json !== true && compared.length > 1) console.log(worstLine(compared))
      console.log(`${compared.length - failed} passed, ${failed} failed${left}`)
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
    const interop = found.kind === 'folder' ? await interopCase(found.folder) : null
    if (interop?.kind === 'unread') return { ...nothing, case: name, skipped: `made with ${interop.library}` }
    const { provider, usual, groups } =
      found.kind === 'gguf'
        ? await verifyGguf(engine, found, options)
        : interop !== null
          ? await verifyAttribution(engine, found.folder, modelName ?? interop.model, options)
          : await verifyFolder(engine, found.folder, modelName, options)
    const tolerance = options.tolerance ?? usual
    return { ...nothing, case: name, passed: passes(groups, tolerance), provider, tolerance, groups }
  } catch (thrown) {
    return { ...nothing, case: name, error: toWire(asPatchbayError(thrown)) }
  }
}

/** Of a case of which nothing was computed. */
const nothing: Omit<CaseReport, 'case'> = {
  passed: false,
  provider: null,
  tolerance: null,
  groups: [],
  error: null,
  skipped: null,
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
  if (!own && modelName === undefined) throw withoutModel(folder)
  const reference = await suppliedReference(folder)
  return withOpenModel(engine, own ? folder : (modelName ?? ''), options, own, (model) =>
    checkReference(model, reference),
  )
}

const withoutModel = (folder: string): PatchbayError =>
  new PatchbayError('file.missing', `${path.basename(folder)} has no weights of its own.`, {
    next: 'Say which model it is about with --model FILE.',
    file: folder,
  })

/** A case of attribution, on the checkpoint that it names or on the model that the person gives. */
async function verifyAttribution(
  engine: Engine,
  folder: string,
  model: string | null,
  options: VerifyOptions,
): Promise<Comparison> {
  if (model === null) throw withoutModel(folder)
  return withOpenModel(engine, model, options, true, async (open) => ({
    usual: tolerances.attribution,
    groups: await checkAttribution(open, folder),
  }))
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

function line({ case: name, passed, provider, tolerance, groups, error, skipped }: CaseReport): string {
  if (skipped !== null) return `  –   ${forTerminal(name)}  cannot be read yet (${forTerminal(skipped)})`
  if (error !== null)
    return `FAIL  ${name}  ${forTerminal(error.message)}${error.next === undefined ? '' : ` ${error.next}`}`
  const figures = groups.map(({ group, worst, worstTensor }) => {
    if (exactGroups.has(group))
      return `${group} ${worst === 0 ? 'equal' : `${(worst * 100).toFixed(1)} % differ`}`
    const bad = worst <= allowed(group, tolerance ?? 0) ? '' : ` (${worstTensor})`
    return `${group} ${worst.toExponential(1)}${bad}`
  })
  return `${passed ? 'pass' : 'FAIL'}  ${name}  ${provider ?? 'read'}, ≤ ${tolerance?.toExponential(0)}:  ${figures.join('  ')}`
}

/** The greatest error of each group among all cases, and whose it is. */
function worstLine(reports: readonly CaseReport[]): string {
  const worst = new Map<string, { error: number; name: string }>()
  for (const { case: name, groups } of reports)
    for (const { group, worst: error } of groups)
      if (!exactGroups.has(group) && error >= (worst.get(group)?.error ?? 0))
        worst.set(group, { error, name })
  const figures = [...worst].map(
    ([group, { error, name }]) => `${group} ${error.toExponential(1)} (${forTerminal(name)})`,
  )
  return `worst:  ${figures.join('  ')}`
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('Give a number above 0, such as 5e-5.')
  return value
}
