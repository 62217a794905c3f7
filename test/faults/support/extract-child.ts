/**
 * The command line in a process that kills itself in the middle of a chosen operation of the file system: a write is done by
 * half first. The operations below its folder of data are those that count, whoever does them.
 */
import { appendFileSync } from 'node:fs'
import fs, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import path from 'node:path'
import { Command } from 'commander'
import { addExtract } from '../../../main/cli/commands/extract'
import { addJob } from '../../../main/cli/commands/job'
import { asPatchbayError } from '../../../preload/errors'

/** KILL_AT: which operation, by number from 1, or as `N of PATTERN` for the N-th that a pattern describes. */
const { PATCHBAY_DATA: data = '', KILL_AT = '', OPERATIONS } = process.env
const [, nth, pattern] = /^(\d+)(?: of (.+))?$/.exec(KILL_AT) ?? []
const wanted = new RegExp(pattern ?? '')
let matching = 0

const describe = (operation: string, file: string): string =>
  `${operation} ${path
    .relative(data, file)
    .replace(/\d{8}-\d{6}-[0-9a-f]{8}/g, 'JOB')
    .replace(/[0-9a-f]{16}(?=\.safetensors)/g, 'SHARD')
    .replace(/(?<=collections\/)[^/]+/g, 'ID')
    .replace(/\.[0-9a-f]{12}\.partial$/, '.partial')}`

async function step<T>(
  operation: string,
  file: unknown,
  work: () => Promise<T>,
  half?: () => Promise<unknown>,
): Promise<T> {
  if (typeof file !== 'string' || path.relative(data, file).startsWith('..')) return work()
  const what = describe(operation, file)
  if (OPERATIONS !== undefined) appendFileSync(OPERATIONS, `${what}\n`)
  if (wanted.test(what) && ++matching === Number(nth)) {
    await half?.()
    process.kill(process.pid, 'SIGKILL')
    await new Promise(() => undefined)
  }
  return work()
}

const files = new WeakMap<FileHandle, string>()
const real = { ...fs }

fs.open = async (file, flags, mode) => {
  const open = (): Promise<FileHandle> => real.open(file, flags, mode)
  const handle = await (flags === 'r' || flags === undefined ? open() : step('open', file, open))
  if (typeof file === 'string') files.set(handle, file)
  return handle
}
fs.rename = (from, to) => step('rename', to, () => real.rename(from, to))
fs.link = (from, to) => step('link', to, () => real.link(from, to))
fs.rm = (file, options) => step('rm', file, () => real.rm(file, options))
fs.utimes = (file, ...times) => step('utimes', file, () => real.utimes(file, ...times))
fs.writeFile = (file, content, options) =>
  step(
    'write',
    file,
    () => real.writeFile(file, content, options),
    () => real.writeFile(file, typeof content === 'string' ? content.slice(0, content.length >> 1) : ''),
  )

const probe = await real.open(process.execPath, 'r')
const prototype = Object.getPrototypeOf(probe) as FileHandle
await probe.close()
type Write = (buffer: Uint8Array, offset: number, length: number, position: number) => Promise<unknown>
const write = Reflect.get(prototype, 'write') as Write
const sync = Reflect.get<FileHandle, 'sync'>(prototype, 'sync')
Object.assign(prototype, {
  write(this: FileHandle, ...args: Parameters<Write>) {
    const [buffer, offset, length, position] = args
    return step(
      'write',
      files.get(this),
      () => write.apply(this, args),
      () => write.call(this, buffer, offset, length >> 1, position),
    )
  },
  sync(this: FileHandle) {
    return step('sync', files.get(this), () => sync.call(this))
  },
})
syncBuiltinESMExports()

const program = new Command('patchbay').exitOverride()
for (const add of [addExtract, addJob]) add(program)
try {
  await program.parseAsync()
} catch (thrown) {
  console.error(asPatchbayError(thrown).message)
  process.exitCode = 1
}
