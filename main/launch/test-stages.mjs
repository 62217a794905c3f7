/** What `npm test` runs, in which order, and how the results of all stages add up. */

/**
 * @typedef {{ name: string, group: string, title: string, command: string[], report?: string, display?: boolean }} Stage
 * `report`: where vitest writes its results. `display`: needs an Electron runtime and a display.
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 */

/** @param {string} name @param {string} title @returns {Stage} */
const vitest = (name, title) => ({
  name,
  group: name === 'e2e' ? 'e2e' : 'unit',
  title,
  command: [
    'node_modules/vitest/vitest.mjs',
    ...['run', '--config', '.config/vitest.config.ts', '--project', name],
    ...['--reporter=default', '--reporter=json', `--outputFile.json=test-results/${name}.json`],
  ],
  report: `test-results/${name}.json`,
  display: name === 'e2e',
})

/** @type {Stage[]} Commands are scripts that Node runs, relative to the clone. */
export const stages = [
  {
    name: 'typecheck',
    group: 'check',
    title: 'Types: everything that runs in Node',
    command: ['node_modules/typescript/bin/tsc', '--noEmit'],
  },
  {
    name: 'typecheck:renderer',
    group: 'check',
    title: 'Types: the window',
    command: ['node_modules/vue-tsc/bin/vue-tsc.js', '--noEmit', '-p', '.config/tsconfig.renderer.json'],
  },
  {
    name: 'lint',
    group: 'check',
    title: 'Lint, with the layering of the rooms',
    command: [
      'node_modules/eslint/bin/eslint.js',
      '--config',
      '.config/eslint.config.mjs',
      '--max-warnings',
      '0',
      '.',
    ],
  },
  {
    name: 'format',
    group: 'check',
    title: 'Format',
    command: ['node_modules/prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.'],
  },
  vitest('node', 'Tests: everything that runs in Node, and the references'),
  vitest('renderer', 'Tests: the components of the window'),
  vitest('e2e', 'Tests: the real app in a real window'),
]

/**
 * @param {string | undefined} only names or groups of stages, separated by commas; all without it
 * @returns {Stage[] | null} null where one is unknown
 */
export function chosenStages(only) {
  if (only === undefined) return stages
  const wanted = only.split(',')
  const known = (/** @type {string} */ word) =>
    stages.some(({ name, group }) => name === word || group === word)
  if (!wanted.every(known)) return null
  return stages.filter(({ name, group }) => wanted.includes(name) || wanted.includes(group))
}

/**
 * The counts of a vitest stage. A run that broke off without a report, or failed although no test did (an error outside
 * the tests), counts as one failure: the last line must never look better than the exit code.
 * @param {unknown} report vitest's JSON, or null
 * @param {number | null} status the exit code
 * @returns {Counts}
 */
export function countsOf(report, status) {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } =
    /** @type {Record<string, number>} */ (report ?? {})
  if (numPassedTests === undefined) return { passed: 0, failed: 1, skipped: 0 }
  return {
    passed: numPassedTests,
    failed: Math.max(numFailedTests, status === 0 ? 0 : 1),
    skipped: numPendingTests + (numTodoTests ?? 0),
  }
}

/** A check is one test that passes or fails. @param {number | null} status @returns {Counts} */
export const checkCounts = (status) => ({
  passed: status === 0 ? 1 : 0,
  failed: status === 0 ? 0 : 1,
  skipped: 0,
})

/** @param {Counts[]} all @returns {Counts} */
export const sum = (all) =>
  all.reduce(
    (total, { passed, failed, skipped }) => ({
      passed: total.passed + passed,
      failed: total.failed + failed,
      skipped: total.skipped + skipped,
    }),
    { passed: 0, failed: 0, skipped: 0 },
  )
