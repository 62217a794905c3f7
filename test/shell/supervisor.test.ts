import { describe, expect, it } from 'vitest'
import { exitSentence } from '../../main/shell/supervisor'
import { supervised } from './fake-engine'

const storyworld = { location: { kind: 'embedded' }, provider: 'auto', precision: 'float32' }
const minute = 60_000

describe('the life of an engine', () => {
  it('is told its folders, and is starting until it says ready', () => {
    const { supervisor, states, current } = supervised()
    supervisor.start()
    expect(current().received).toEqual([
      { type: 'init', dataDir: '/data', cacheDir: '/cache', assetsDir: '/assets', openModels: [] },
    ])
    expect(supervisor.state).toMatchObject({ status: 'starting', generation: 1 })
    current().say({ type: 'ready' })
    expect(states).toEqual(['starting 1', 'ready 1'])
  })

  it('takes no port before it is ready, nor after it has died', () => {
    const { supervisor, current } = supervised()
    expect(supervisor.connect('port')).toBe(false)
    supervisor.start()
    expect(supervisor.connect('port')).toBe(false)
    current().say({ type: 'ready' })
    expect(supervisor.connect('port')).toBe(true)
    expect(current().ports).toEqual(['port'])
    current().exit(11)
    expect(supervisor.connect('port')).toBe(false)
  })

  it('starts only one process however often it is asked', () => {
    const { supervisor, engines } = supervised()
    supervisor.start()
    supervisor.start()
    expect(engines).toHaveLength(1)
  })

  it('leaves `ready` at the very moment of a crash, and says why, with the last words on stderr', () => {
    const { supervisor, states, current } = supervised()
    supervisor.start()
    current().say({ type: 'ready' })
    current().complain('terminate called after throwing\n')
    current().exit(6)
    expect(states).toEqual(['starting 1', 'ready 1', 'restarting 2'])
    expect(supervisor.state.reason).toMatch(/signal 6/)
    expect(supervisor.state.stderr).toBe('terminate called after throwing\n')
  })

  it('hands the models that were open to the next process', () => {
    const { supervisor, current } = supervised()
    supervisor.start()
    current().say({ type: 'ready' })
    current().say({ type: 'open-models', models: [storyworld] })
    current().exit(11)
    expect(current().received[0]).toMatchObject({ type: 'init', openModels: [storyworld] })
  })

  it('does not re-open models again when the process died while re-opening them', () => {
    const { supervisor, current } = supervised()
    supervisor.start()
    current().say({ type: 'ready' })
    current().say({ type: 'open-models', models: [storyworld] })
    current().exit(11)
    current().exit(11)
    expect(current().received[0]).toMatchObject({ type: 'init', openModels: [] })
    expect(supervisor.state.reason).toMatch(/starts without them/)
  })

  it('drops messages that fit no schema, and says so in the log', () => {
    const { supervisor, log, current } = supervised()
    supervisor.start()
    current().say({ type: 'open-models', models: [{ location: { kind: 'network' } }] })
    current().say({ type: 'reboot' })
    current().say('ready')
    expect(supervisor.state.status).toBe('starting')
    expect(supervisor.openModels).toEqual([])
    expect(log).toHaveLength(3)
  })

  it('ignores what a process that has been replaced still says', () => {
    const { supervisor, engines, current } = supervised()
    supervisor.start()
    current().exit(1)
    engines[0]?.say({ type: 'ready' })
    engines[0]?.exit(1)
    expect(supervisor.state).toMatchObject({ status: 'restarting', generation: 2 })
    expect(engines).toHaveLength(2)
  })
})

describe('the restart budget', () => {
  it('restarts three times in five minutes, then stops and asks', () => {
    const { supervisor, states, current, engines } = supervised()
    supervisor.start()
    for (let crash = 0; crash < 4; crash++) current().exit(11)
    expect(states).toEqual(['starting 1', 'restarting 2', 'restarting 3', 'restarting 4', 'stopped 4'])
    expect(engines).toHaveLength(4)
  })

  it('forgets a crash after five minutes', () => {
    const { supervisor, clock, current } = supervised()
    supervisor.start()
    for (let crash = 0; crash < 3; crash++) current().exit(11)
    clock.pass(5 * minute)
    current().exit(11)
    expect(supervisor.state.status).toBe('restarting')
  })

  it('grants a full budget when the person restarts a stopped engine', () => {
    const { supervisor, current } = supervised()
    supervisor.start()
    for (let crash = 0; crash < 4; crash++) current().exit(11)
    supervisor.restart()
    expect(supervisor.state).toMatchObject({ status: 'starting', generation: 5 })
    for (let crash = 0; crash < 3; crash++) current().exit(11)
    expect(supervisor.state.status).toBe('restarting')
  })

  it('is not spent by a restart on request', () => {
    const { supervisor, current } = supervised()
    supervisor.start()
    for (let request = 0; request < 5; request++) supervisor.restart()
    expect(supervisor.state).toMatchObject({ status: 'restarting', generation: 6 })
    for (let crash = 0; crash < 3; crash++) current().exit(11)
    expect(supervisor.state.status).toBe('restarting')
  })
})

describe('the heartbeat', () => {
  it('lets an engine live that answers', () => {
    const { supervisor, clock, current } = supervised()
    supervisor.start()
    current().say({ type: 'ready' })
    for (let minutes = 0; minutes < 20; minutes++) {
      clock.pass(minute)
      current().pong()
    }
    expect(current().killed).toBe(false)
  })

  it('kills and restarts an engine that has been silent for five minutes', () => {
    const { supervisor, clock, engines } = supervised()
    supervisor.start()
    engines[0]?.say({ type: 'ready' })
    clock.pass(5 * minute)
    expect(engines[0]?.killed).toBe(false)
    clock.pass(10_000)
    expect(engines[0]?.killed).toBe(true)
    expect(supervisor.state).toMatchObject({ status: 'restarting', generation: 2 })
    expect(supervisor.state.reason).toMatch(/no sign of life for 300 seconds/)
  })

  it('waits as long as the settings say', () => {
    const { supervisor, clock, engines } = supervised({ hangLimitMs: 20_000 })
    supervisor.start()
    clock.pass(30_000)
    expect(engines[0]?.killed).toBe(true)
  })

  it('kills after 30 seconds of silence when the person asked for a hard cancel', () => {
    const { supervisor, clock, engines } = supervised()
    supervisor.start()
    engines[0]?.say({ type: 'ready' })
    supervisor.hardCancel()
    clock.pass(30_000)
    expect(engines[0]?.killed).toBe(false)
    clock.pass(5_000)
    expect(engines[0]?.killed).toBe(true)
    expect(engines).toHaveLength(2)
  })

  it('kills at once when the silence was long enough before the hard cancel', () => {
    const { supervisor, clock, engines } = supervised()
    supervisor.start()
    engines[0]?.say({ type: 'ready' })
    clock.pass(minute)
    supervisor.hardCancel()
    expect(engines[0]?.killed).toBe(true)
  })

  it('does not kill an engine that answers, hard cancel or not', () => {
    const { supervisor, clock, engines } = supervised()
    supervisor.start()
    engines[0]?.say({ type: 'ready' })
    supervisor.hardCancel()
    for (let i = 0; i < 60; i++) {
      clock.pass(5_000)
      engines[0]?.pong()
    }
    expect(engines[0]?.killed).toBe(false)
  })

  it('does not take a machine that slept for a hung engine', () => {
    const { supervisor, clock, engines } = supervised()
    supervisor.start()
    engines[0]?.say({ type: 'ready' })
    clock.sleep(8 * 60 * minute)
    expect(engines[0]?.killed).toBe(false)
  })

  it('kills a hung engine only once while the system takes its time to end it', () => {
    const { supervisor, clock, engines } = supervised()
    supervisor.start()
    const [engine] = engines
    if (engine !== undefined) engine.diesWhenKilled = false
    clock.pass(10 * minute)
    expect(engines).toHaveLength(1)
    engine?.exit(9)
    expect(engines).toHaveLength(2)
    expect(supervisor.state.reason).toMatch(/no sign of life/)
  })
})

describe('shutting down', () => {
  it('asks the engine, resolves when it has ended, and leaves no timer behind', async () => {
    const { supervisor, clock, current, engines } = supervised()
    supervisor.start()
    current().say({ type: 'ready' })
    const closed = supervisor.shutdown()
    expect(current().received.at(-1)).toEqual({ type: 'shutdown' })
    current().exit(0)
    await closed
    expect(engines).toHaveLength(1)
    expect(supervisor.state.status).toBe('stopped')
    expect(clock.running).toBe(0)
  })

  it('kills an engine that does not end by itself', async () => {
    const { supervisor, clock, current } = supervised()
    supervisor.start()
    const closed = supervisor.shutdown()
    clock.pass(3_000)
    await closed
    expect(current().killed).toBe(true)
    expect(clock.running).toBe(0)
  })

  it('is done at once when nothing runs', async () => {
    await supervised().supervisor.shutdown()
  })
})

it('says in a sentence how a process ended', () => {
  expect(exitSentence(9)).toMatch(/memory/)
  expect(exitSentence(134)).toBe('The engine process ended with code 134.')
})
