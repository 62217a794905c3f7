/** The options that choose a model and what computes it, the same in every command. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { precisions, providerChoices } from '../../../preload/run'

export const withModelOptions = (command: Command): Command =>
  withComputeOptions(
    command.option(
      '-m, --model <model>',
      'a file, a folder, "storyworld", or a model in the library',
      'storyworld',
    ),
  )

export const withComputeOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--provider <provider>', 'what computes: auto falls back to the CPU and says why')
        .choices(providerChoices)
        .default('auto'),
    )
    .addOption(
      new Option('--precision <precision>', 'quantised keeps the matrices of a GGUF file in their blocks')
        .choices(precisions)
        .default('float32'),
    )
    .addOption(
      new Option(
        '--memory-budget <size>',
        'what the engine may take, such as 400MB; blocks are then loaded as needed',
      ).argParser(bytes),
    )

const units: Readonly<Record<string, number>> = {
  '': 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
}

/** A size in bytes: `400MB`, `1.5 GiB`, `300000000`. */
export function bytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([KMG]i?B)?$/i.exec(text.trim())
  const size = match === null ? 0 : Math.floor(Number(match[1]) * units[(match[2] ?? '').toUpperCase()])
  if (!Number.isSafeInteger(size) || size <= 0)
    throw new InvalidArgumentError('Give a size such as 400MB or 2GiB.')
  return size
}
