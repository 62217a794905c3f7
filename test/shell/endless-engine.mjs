/**
 * Stands for the engine process in a test of the watchdog: answers pings like it, until it is told to run a graph whose
 * loop never ends.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node'

const session = await InferenceSession.create(process.argv[2], { logSeverityLevel: 3 })

/** @param {{ type: string, id?: number }} message */
const say = (message) => new Promise((resolve) => process.send?.(message, resolve))

async function run() {
  await say({ type: 'running' })
  await session.run({ x: new Tensor('float32', [1], [1]) })
  await say({ type: 'ended' })
}

process.on('message', (raw) => {
  const { type, id } = /** @type {{ type: string, id?: number }} */ (raw)
  if (type === 'ping') void say({ type: 'pong', id })
  if (type === 'run') void run()
  if (type === 'shutdown') process.exit(0)
})
void say({ type: 'ready' })
