import { describe, expect, it } from 'vitest'
import type { IpcMainInvokeEvent } from 'electron'
import { PatchbayError } from '../../preload/errors'
import { callChannel, shellCallNames, type ShellResult } from '../../preload/shell'
import { serveCalls, type CallHandlers } from '../../main/shell/ipc'

type Listener = (event: IpcMainInvokeEvent, raw: unknown) => Promise<ShellResult>

/** The calls as served, with a page that calls them. */
function served(change: Partial<CallHandlers> = {}) {
  const called: string[] = []
  const note = (name: string) => () => {
    called.push(name)
    return null
  }
  const handlers: CallHandlers = {
    'path.choose': note('path.choose'),
    'file.save': note('file.save'),
    'file.open': note('file.open'),
    'engine.state': () => ({ status: 'ready', generation: 1, reason: null, stderr: null }),
    'engine.port': note('engine.port'),
    'engine.restart': note('engine.restart'),
    'engine.hardCancel': note('engine.hardCancel'),
    'report.firstLens': note('report.firstLens'),
    'report.viewSettled': note('report.viewSettled'),
    'theme.set': note('theme.set'),
    'clipboard.write': note('clipboard.write'),
    ...change,
  }
  const listeners = new Map<string, Listener>()
  serveCalls({ handle: (channel, listener) => void listeners.set(channel, listener as Listener) }, handlers)
  const ours = { url: 'app://patchbay/index.html', parent: null }
  const call = (channel: string, raw: unknown, senderFrame: unknown = ours): Promise<ShellResult> => {
    const listener = listeners.get(channel)
    if (listener === undefined) throw new Error(`nothing listens on ${channel}`)
    return listener({ senderFrame } as IpcMainInvokeEvent, raw)
  }
  return { call, called, channels: [...listeners.keys()] }
}

describe('the calls of the bridge', () => {
  it('are the ones of the contract and no others', () => {
    expect(served().channels.sort()).toEqual(shellCallNames.map(callChannel).sort())
  })

  it('reach their handler and answer with a checked value', async () => {
    const { call, called } = served()
    expect(await call(callChannel('theme.set'), { theme: 'dark' })).toEqual({ ok: true, value: null })
    expect(called).toEqual(['theme.set'])
    expect(await call(callChannel('engine.state'), {})).toMatchObject({
      ok: true,
      value: { status: 'ready' },
    })
  })

  it.each([
    ['theme.set', { theme: 'pink' }],
    ['theme.set', null],
    ['engine.port', { extra: 1 }],
    ['file.save', { suggestedName: 'x', bytes: [1, 2], filters: [] }],
    [
      'file.save',
      { suggestedName: 'x', bytes: new Uint8Array(1), filters: [{ name: 'x', extensions: ['../x'] }] },
    ],
    ['file.open', { filters: [], maxBytes: 2 ** 40 }],
    ['report.viewSettled', { view: 'admin', theme: 'dark' }],
    ['clipboard.write', { text: 'x'.repeat(17 * 2 ** 20) }],
  ] as const)('%s refuses what does not fit its schema, before the handler sees it', async (name, input) => {
    const { call, called } = served()
    expect(await call(callChannel(name), input)).toMatchObject({
      ok: false,
      error: { code: 'input.invalid' },
    })
    expect(called).toEqual([])
  })

  it.each([
    ['another site', { url: 'https://example.com/', parent: null }],
    ['another host of the scheme', { url: 'app://patchbay.example/', parent: null }],
    ['a frame inside the page', { url: 'app://patchbay/index.html', parent: {} }],
    ['an empty page', { url: 'about:blank', parent: null }],
    ['a frame that is gone', null],
  ])('refuse %s', async (_who, frame) => {
    const { call, called } = served()
    expect(await call(callChannel('engine.restart'), {}, frame)).toMatchObject({ ok: false })
    expect(called).toEqual([])
  })

  it('carry a typed error with its code, and any other as internal', async () => {
    const full = new PatchbayError('disk.full', 'The disk is full.', { next: 'Free some space.' })
    const { call } = served({
      'file.save': () => {
        throw full
      },
      'file.open': () => {
        throw new RangeError('oops')
      },
    })
    const save = await call(callChannel('file.save'), {
      suggestedName: '',
      bytes: new Uint8Array(0),
      filters: [],
    })
    expect(save).toMatchObject({ ok: false, error: { code: 'disk.full', next: 'Free some space.' } })
    const open = await call(callChannel('file.open'), { filters: [], maxBytes: 1 })
    expect(open).toMatchObject({ ok: false, error: { code: 'internal', message: 'oops' } })
  })

  it('never answer with something that the contract does not promise', async () => {
    const { call } = served({ 'path.choose': () => '' })
    expect(await call(callChannel('path.choose'), { kind: 'model-file' })).toMatchObject({
      ok: false,
      error: { code: 'internal' },
    })
  })
})
