/** What the launcher says while it gets ready: plain lines, and problems that end with what to type next. */

/** A reason why the app can not start, with what the person can do about it. */
export class LaunchProblem extends Error {
  /**
   * @param {string} message one sentence
   * @param {string} next what to type or do
   */
  constructor(message, next) {
    super(message)
    this.name = 'LaunchProblem'
    this.next = next
  }
}

/** To standard error, so that a command's own output stays clean. @param {string} line */
export function say(line) {
  process.stderr.write(`${line}\n`)
}

/**
 * Runs a launcher's main function; a problem becomes two lines and exit code 1.
 * @param {() => Promise<number>} main resolves to the exit code
 */
export async function runMain(main) {
  try {
    process.exitCode = await main()
  } catch (error) {
    if (!(error instanceof LaunchProblem)) throw error
    say(`\n${error.message}\n${error.next}`)
    process.exitCode = 1
  }
}
