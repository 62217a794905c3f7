/** The options that choose a model, the same in every command. */
import { Option, type Command } from 'commander'
import { providerChoices } from '../../../preload/run'

export function withModelOptions(command: Command): Command {
  return command
    .option('-m, --model <model>', 'a file, a folder, "storyworld", or a model in the library', 'storyworld')
    .addOption(
      new Option('--provider <provider>', 'what computes: auto falls back to the CPU and says why')
        .choices(providerChoices)
        .default('auto'),
    )
}
