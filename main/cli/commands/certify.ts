/** `patchbay certify MODEL`: a parity certificate against a reference, else by self-checks; kept, and stamped on results. */
import path from 'node:path'
import type { Command } from 'commander'
import {
  certificateText,
  exactGroups,
  groupMeanings,
  type CertificateGroup,
} from '../../../preload/certificate'
import { PatchbayError } from '../../../preload/errors'
import type { ModelDescription } from '../../../preload/model'
import type { ProviderChoice } from '../../../preload/run'
import { forTerminal } from '../output'
import { progressLine } from '../progress'
import { withModel, type ModelOptions } from '../session'
import { withComputeOptions } from './model-option'

interface CertifyOptions extends Omit<ModelOptions, 'model'> {
  reference?: string
  json?: boolean
}

export function addCertify(program: Command): void {
  withComputeOptions(
    program
      .command('certify')
      .argument('<model>', 'a file, a folder, "storyworld", or a model in the library'),
  )
    .description('Check a model against a reference, or against itself; exit code 0 only if it passes.')
    .option('--reference <place>', 'a folder or file that `patchbay reference-script` made')
    .option('--json', 'print the certificate as JSON')
    .action(async (model: string, { reference, json, ...compute }: CertifyOptions) => {
      await withModel({ model, ...compute }, async (engine, open, signal) => {
        requireProvider(open, compute.provider)
        const line = progressLine()
        const input = {
          model: open.handle,
          reference: reference === undefined ? undefined : path.resolve(reference),
        }
        const certificate = await engine
          .call('certificate.make', input, {
            signal,
            onProgress: ({ done, total, what }) => line.show(what, done / total),
          })
          .finally(() => line.clear())
        if (!certificate.passed) process.exitCode = 1
        if (json === true) return console.log(JSON.stringify(certificate))
        const { source } = certificate
        const against = source.kind === 'self-check' ? 'itself' : `the reference ${forTerminal(source.name)}`
        console.log(
          `${forTerminal(open.name)}, ${open.precision} on ${open.provider}, checked against ${against}`,
        )
        for (const group of certificate.groups) console.log(`  ${groupLine(group)}`)
        for (const note of certificate.notes) console.log(`  ${forTerminal(note)}`)
        const { summary } = await engine.call('certificate.get', { model: open.handle })
        console.log(`results now say: ${certificateText(summary)}`)
      })
    })
}

/** Asked for an accelerator, the CPU's numbers would say nothing about it. */
function requireProvider({ provider, providerNote }: ModelDescription, choice: ProviderChoice): void {
  if (choice !== 'auto' && provider !== choice)
    throw new PatchbayError('provider.unavailable', providerNote ?? `${choice} is not there.`)
}

function groupLine({ group, count, worst, worstTensor, tolerance, passed }: CertificateGroup): string {
  const error = exactGroups.has(group)
    ? worst === 0
      ? 'equal'
      : `${((worst ?? 1) * 100).toFixed(1)} % differ (${forTerminal(worstTensor)})`
    : `worst ${worst?.toExponential(1) ?? 'none'} of ≤ ${tolerance.toExponential(0)} (${forTerminal(worstTensor)})`
  return `${passed ? 'pass' : 'FAIL'}  ${groupMeanings[group]}: ${error}, ${count} compared`
}
