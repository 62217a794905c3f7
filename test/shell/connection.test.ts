import { expect, it } from 'vitest'
import { Connection } from '../../main/shell/connection'
import type { EngineState } from '../../preload/shell'

const state = (status: EngineState['status'], generation: number): EngineState => ({
  status,
  generation,
  reason: null,
  stderr: null,
})

function joined() {
  let made = 0
  const engine: string[] = []
  const page: string[] = []
  const connection = new Connection<string>({
    createChannel: () => ({ port1: `engine ${++made}`, port2: `page ${made}` }),
    toEngine: (port) => engine.push(port) > 0,
    toPage: (port, generation) => page.push(`${port} of generation ${generation}`),
  })
  return { connection, engine, page }
}

it('gives a page that asks early its port when the engine is ready', () => {
  const { connection, engine, page } = joined()
  connection.request()
  connection.engineChanged(state('starting', 1))
  expect(page).toEqual([])
  connection.engineChanged(state('ready', 1))
  expect(engine).toEqual(['engine 1'])
  expect(page).toEqual(['page 1 of generation 1'])
})

it('gives a page that asks late its port at once', () => {
  const { connection, page } = joined()
  connection.engineChanged(state('ready', 1))
  expect(page).toEqual([])
  connection.request()
  expect(page).toHaveLength(1)
})

it('gives a new port after every restart, and none between', () => {
  const { connection, page } = joined()
  connection.request()
  connection.engineChanged(state('ready', 1))
  connection.engineChanged(state('restarting', 2))
  expect(page).toHaveLength(1)
  connection.engineChanged(state('ready', 2))
  connection.engineChanged(state('ready', 2))
  expect(page).toEqual(['page 1 of generation 1', 'page 2 of generation 2'])
})

it('sends nothing to a page that has been left until the next one asks', () => {
  const { connection, page } = joined()
  connection.request()
  connection.engineChanged(state('ready', 1))
  connection.pageLeft()
  connection.engineChanged(state('restarting', 2))
  connection.engineChanged(state('ready', 2))
  expect(page).toHaveLength(1)
  connection.request()
  expect(page).toHaveLength(2)
})

it('sends no port to the page when the engine did not take the other end', () => {
  const page: string[] = []
  const connection = new Connection<string>({
    createChannel: () => ({ port1: 'a', port2: 'b' }),
    toEngine: () => false,
    toPage: (port) => page.push(port),
  })
  connection.engineChanged(state('ready', 1))
  connection.request()
  expect(page).toEqual([])
})
