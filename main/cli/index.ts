/** `patchbay …`: the engine's calls from a terminal. One file a command under commands/. */
import { Command, CommanderError } from 'commander'
import { version } from '../../package.json'
import { asPatchbayError } from '../../preload/errors'
import { addBench } from './bench/command'
import { addAttribute } from './commands/attribute'
import { addCache } from './commands/cache'
import { addCertify } from './commands/certify'
import { addDataset } from './commands/dataset'
import { addCollection } from './commands/collection'
import { addExtract } from './commands/extract'
import { addGenerate } from './commands/generate'
import { addHub } from './commands/hub'
import { addJob } from './commands/job'
import { addModels } from './commands/models'
import { addPatch } from './commands/patch'
import { addReferenceScript } from './commands/reference-script'
import { addRun } from './commands/run'
import { addScreenshot } from './commands/screenshot'
import { addTrain } from './commands/train'
import { printError } from './output'
import { addVerify } from './verify/command'

async function main(): Promise<void> {
  const program = new Command('patchbay')
    .description('A workbench for looking inside language models and steering them.')
    .version(version)
    .exitOverride()
    .showHelpAfterError()
  const commands = [
    addRun,
    addGenerate,
    addPatch,
    addAttribute,
    addVerify,
    addCertify,
    addReferenceScript,
    addBench,
    addModels,
    addCache,
    addCollection,
    addDataset,
    addExtract,
    addHub,
    addScreenshot,
    addTrain,
    addJob,
  ]
  for (const add of commands) add(program)
  try {
    await program.parseAsync()
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      process.exitCode = thrown.exitCode
      return
    }
    printError(asPatchbayError(thrown))
    process.exitCode = 1
  }
}

await main()
