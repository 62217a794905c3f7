/** `patchbay screenshot --out DIR`: the real app, every view, light and dark, as PNG files. */
import { spawn } from 'node:child_process'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { PatchbayError } from '../../../preload/errors'

export function addScreenshot(program: Command): void {
  program
    .command('screenshot')
    .description('Open the app and save a picture of every view in light and dark.')
    .requiredOption('-o, --out <folder>', 'where the PNG files go')
    .option('--size <WxH>', 'size of the window', '1280x800')
    .option('-m, --model <path>', 'a model to open instead of storyworld')
    .action(async (options: { out: string; size: string; model?: string }) => {
      if (!/^\d{3,5}x\d{3,5}$/.test(options.size))
        throw new PatchbayError('input.invalid', `${options.size} is not a size.`, {
          next: 'Write it like 1280x800.',
        })
      const script = fileURLToPath(new URL('../../main/launch/screenshot.mjs', import.meta.url))
      const model = options.model === undefined ? [] : [path.resolve(options.model)]
      const args = [script, '--out', path.resolve(options.out), '--size', options.size, ...model]
      const code = await new Promise<number>((resolve, reject) => {
        const child = spawn(process.execPath, args, { stdio: 'inherit' })
        child.once('error', reject)
        child.once('exit', (status) => resolve(status ?? 1))
      })
      if (code !== 0)
        throw new PatchbayError(
          'engine.stopped',
          `The app ended with code ${code} before all pictures were taken.`,
          {
            next: 'Read what it printed above.',
          },
        )
    })
}
