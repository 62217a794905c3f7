import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../../main/launch/folders.mjs'
import { startOptions } from '../../main/launch/start-options.mjs'
import { checkCounts, chosenStages, countsOf, stages, sum } from '../../main/launch/test-stages.mjs'

describe('the stages of npm test', () => {
  it('all run without a choice, and by name or group with one', () => {
    expect(chosenStages(undefined)).toBe(stages)
    expect(chosenStages('unit')?.map(({ name }) => name)).toEqual(['node', 'renderer'])
    expect(chosenStages('lint,e2e')?.map(({ name }) => name)).toEqual(['lint', 'e2e'])
    expect(chosenStages('unit,nonsense')).toBeNull()
  })

  it('run scripts that are there', () => {
    for (const { command } of stages) expect(existsSync(path.join(root, command[0] ?? ''))).toBe(true)
  })
})

describe('the counts', () => {
  const report = { numPassedTests: 5, numFailedTests: 0, numPendingTests: 2, numTodoTests: 1 }

  it('are those of the report', () => {
    expect(countsOf(report, 0)).toEqual({ passed: 5, failed: 0, skipped: 3 })
    expect(countsOf({ ...report, numFailedTests: 2 }, 1)).toEqual({ passed: 5, failed: 2, skipped: 3 })
  })

  it('never look better than the exit code', () => {
    expect(countsOf(report, 1).failed).toBe(1)
    expect(countsOf(null, 1)).toEqual({ passed: 0, failed: 1, skipped: 0 })
    expect(countsOf(null, 0).failed).toBe(1)
    expect(countsOf(report, null).failed).toBe(1)
    expect(checkCounts(2)).toEqual({ passed: 0, failed: 1, skipped: 0 })
  })

  it('add up', () => {
    expect(sum([countsOf(report, 0), checkCounts(0), checkCounts(1)])).toEqual({
      passed: 6,
      failed: 1,
      skipped: 3,
    })
  })
})

describe('the options of npm start', () => {
  it('are the launcher’s, and the rest is the app’s, with absolute paths', () => {
    const options = startOptions(
      ['--yes', 'models/m.gguf', '--headless', '--report', 'out'],
      path.resolve('/home/ada'),
    )
    expect(options).toMatchObject({ yes: true, headless: true, report: path.resolve('/home/ada/out') })
    expect(options.app).toEqual([path.resolve('/home/ada/models/m.gguf')])
  })

  it('hand the user-data folder on', () => {
    expect(startOptions(['--user-data-dir', 'd'], path.resolve('/x')).app).toEqual([
      '--user-data-dir',
      path.resolve('/x/d'),
    ])
  })

  it.each([[['--nonsense']], [['--report']], [['--report', '--yes']]])(
    'refuse %j and say what there is',
    (args) => {
      expect(() => startOptions(args, '/')).toThrow(
        expect.objectContaining({ next: expect.stringContaining('npm start') as unknown }),
      )
    },
  )
})
