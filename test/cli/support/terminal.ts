/** The command line in a test: commands run with folders of their own for data and cache, and what they print is kept. */
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { Command } from 'commander'
import { afterEach, beforeEach, vi } from 'vitest'

export interface Terminal {
  /** Made anew for each test. */
  readonly folder: string
  /** A place in the folder. */
  readonly file: (...names: string[]) => string
  /** Runs `patchbay WORDS`. Returns what was printed since the last time, a line each. */
  readonly run: (...words: string[]) => Promise<string>
  /** What was printed by commands that threw. */
  readonly printed: () => string
}

/** Sets a describe block or file up. @param commands what adds the commands that are used to the program */
export function terminal(...commands: readonly ((program: Command) => void)[]): Terminal {
  let folder = ''
  let lines: string[] = []
  const printed = (): string => lines.splice(0).join('\n')

  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'patchbay-cli-'))
    vi.stubEnv('PATCHBAY_DATA', path.join(folder, 'data'))
    vi.stubEnv('PATCHBAY_CACHE', path.join(folder, 'cache'))
    lines = []
    vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line))
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      lines.push(typeof text === 'string' ? text : new TextDecoder().decode(text))
      return true
    })
    process.exitCode = undefined
  })
  afterEach(() => {
    vi.restoreAllMocks()
    vi.unstubAllEnvs()
    process.exitCode = undefined
    rmSync(folder, { recursive: true, force: true })
  })

  return {
    get folder() {
      return folder
    },
    file: (...names) => path.join(folder, ...names),
    run: async (...words) => {
      const program = new Command('patchbay').exitOverride()
      for (const add of commands) add(program)
      await program.parseAsync(words, { from: 'user' })
      return printed()
    },
    printed,
  }
}
