import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { ownArguments, parseArguments } from '../../main/shell/arguments'

describe('the command line', () => {
  it('is found behind the executable and the path of the app', () => {
    expect(ownArguments(['electron', '--no-sandbox', '--inspect=0', '/clone', 'model.gguf'], false)).toEqual([
      '--no-sandbox',
      '--inspect=0',
      'model.gguf',
    ])
    expect(ownArguments(['patchbay', 'model.gguf'], true)).toEqual(['model.gguf'])
  })

  it('may name a model and folders, relative to where it was typed', () => {
    const base = path.resolve('/home/ada')
    expect(parseArguments(['m.gguf', '--headless-report', 'out', '--user-data-dir=/data'], base)).toEqual({
      modelPath: path.join(base, 'm.gguf'),
      headlessReport: path.join(base, 'out'),
      screenshot: undefined,
      size: undefined,
      userDataDir: path.resolve('/data'),
    })
  })

  it("leaves Chromium's switches alone", () => {
    expect(parseArguments(['--no-sandbox', '--remote-debugging-port=0', '-x'], '/').modelPath).toBeUndefined()
  })

  it('reads a size', () => {
    expect(parseArguments(['--size', '1280x800'], '/').size).toEqual({ width: 1280, height: 800 })
  })

  it.each([
    [['--size', 'large']],
    [['--size=1x1']],
    [['--screenshot']],
    [['--screenshot', '--size']],
    [['a', 'b']],
  ])('refuses %j', (args) => {
    expect(() => parseArguments(args, '/')).toThrow(expect.objectContaining({ code: 'input.invalid' }))
  })
})
