import { describe, expect, it } from 'vitest'
import { PatchbayError, toWire } from '../../preload/errors'
import {
  callChannel,
  enginePortMessage,
  errorMessage,
  eventChannel,
  fromEngineMessage,
  launchInfo,
  shellCallNames,
  shellCommand,
  shellError,
  toEngineMessage,
} from '../../preload/shell'

describe('errors across the bridge', () => {
  it('keep code, sentence and next step', () => {
    const error = new PatchbayError('disk.full', 'The disk is full (writing /x).', {
      next: 'Free some space.\nThen again.',
    })
    const back = shellError(new Error(errorMessage(toWire(error))))
    expect(back).toBeInstanceOf(PatchbayError)
    expect(back).toMatchObject({ code: error.code, message: error.message, next: error.next })
  })

  it('keep a sentence without a next step, on one line', () => {
    const back = shellError(new Error(errorMessage({ code: 'file.unreadable', message: 'a: b\n c' })))
    expect(back).toMatchObject({ code: 'file.unreadable', message: 'a: b c', next: undefined })
  })

  it('are internal when they are of no known code', () => {
    expect(shellError(new Error('no.such-code: x'))).toMatchObject({
      code: 'internal',
      message: 'no.such-code: x',
    })
    expect(shellError('thrown text')).toMatchObject({ code: 'internal' })
  })
})

describe('messages between shell and engine', () => {
  it('fill in what a model source leaves open', () => {
    const message = { type: 'open-models', models: [{ location: { kind: 'path', path: '/m.gguf' } }] }
    expect(fromEngineMessage.parse(message)).toMatchObject({
      models: [{ provider: 'auto', precision: 'float32' }],
    })
  })

  it.each([
    { type: 'init', dataDir: '', cacheDir: '/c', assetsDir: '/a', openModels: [] },
    { type: 'init', dataDir: '/d', cacheDir: '/c', assetsDir: '/a' },
    { type: 'ping', id: -1 },
    { type: 'ping', id: 1.5 },
    { type: 'eval', code: '1' },
    null,
  ])('to the engine are refused: %j', (message) => {
    expect(toEngineMessage.safeParse(message).success).toBe(false)
  })

  it.each([
    { type: 'pong' },
    { type: 'open-models', models: [{ location: { kind: 'path', path: '' } }] },
    'ready',
  ])('from the engine are refused: %j', (message) => {
    expect(fromEngineMessage.safeParse(message).success).toBe(false)
  })
})

it.each([
  { id: 'view.show', view: 'settings' },
  { id: 'model.open-path', path: '' },
  { id: 'model.open-path', path: 'x'.repeat(5000) },
  { id: 'quit' },
  {},
])('refuses the command %j', (command) => {
  expect(shellCommand.safeParse(command).success).toBe(false)
})

it('refuses a launch description or a port message that is not whole', () => {
  expect(launchInfo.safeParse(null).success).toBe(false)
  expect(launchInfo.safeParse({ headlessReport: false, version: '1', electron: '33' }).success).toBe(false)
  expect(enginePortMessage.safeParse({ type: 'patchbay:engine-port' }).success).toBe(false)
})

it('has a channel of its own for every call and event', () => {
  const channels = [...shellCallNames.map(callChannel), eventChannel('command'), eventChannel('engine.state')]
  expect(new Set(channels).size).toBe(channels.length)
})
