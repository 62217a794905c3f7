/**
 * Where the hub is, who asks, and where the cache lies, by the environment variables that Python's huggingface_hub
 * reads and in its order. Read anew for each call: a person may log in or go offline meanwhile.
 */
import { open } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { PatchbayError } from '../../../preload/errors'
import { readFailure } from '../formats/malformed'
import { Secret } from './secret'

export type Environment = Readonly<Record<string, string | undefined>>

const isTrue = (value: string | undefined): boolean => /^(?:1|on|yes|true)$/i.test(value ?? '')

/** Whether any network access is forbidden. */
export const isOffline = (env: Environment): boolean =>
  isTrue(env['HF_HUB_OFFLINE'] || env['TRANSFORMERS_OFFLINE'])

const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

/** A host that is this machine. */
export const isLoopback = (url: URL): boolean => loopback.test(url.hostname)

/**
 * The endpoint, without a slash at its end.
 * @throws PatchbayError `input.invalid` unless it is https, or http to this very machine
 */
export function readEndpoint(env: Environment): URL {
  const given = env['HF_ENDPOINT'] || 'https://huggingface.co'
  const url = URL.canParse(given) ? new URL(given.replace(/\/+$/, '')) : null
  const problem =
    url === null
      ? 'is no address'
      : url.username !== '' || url.password !== ''
        ? 'has a user name or password in it'
        : url.search !== '' || url.hash !== ''
          ? 'has a query in it'
          : url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url))
            ? 'is not https, so anyone on the way could change what is downloaded'
            : null
  if (url === null || problem !== null)
    throw new PatchbayError('input.invalid', `HF_ENDPOINT ${problem}.`, {
      field: 'HF_ENDPOINT',
      next: 'Set it to the https address of a hub, or unset it for the public one.',
    })
  return url
}

/** `~` and `$NAME` as Python's expanduser and expandvars replace them. */
function expanded(given: string, env: Environment): string {
  const home = env['HOME'] || os.homedir()
  return given
    .replace(/^~(?=$|[/\\])/, home)
    .replace(
      /\$(?:\{(\w+)\}|(\w+))/g,
      (whole, braced?: string, bare?: string) => env[braced ?? bare ?? ''] ?? whole,
    )
}

const folder = (given: string, env: Environment): string => path.resolve(expanded(given, env))

const homeFolder = (env: Environment): string =>
  folder(env['HF_HOME'] || path.join(env['XDG_CACHE_HOME'] || path.join('~', '.cache'), 'huggingface'), env)

/** The cache that downloads go to. */
export const cacheFolder = (env: Environment): string =>
  folder(env['HF_HUB_CACHE'] || env['HUGGINGFACE_HUB_CACHE'] || path.join(homeFolder(env), 'hub'), env)

/** Every cache where models may lie, the one for downloads first. */
export const cacheFolders = (env: Environment): string[] => [
  ...new Set([
    cacheFolder(env),
    path.join(homeFolder(env), 'hub'),
    folder(path.join('~', '.cache', 'huggingface', 'hub'), env),
  ]),
]

const longestTokenFile = 16 << 10

/**
 * The person's token: `HF_TOKEN`, else the file that `hf auth login` writes; null where there is none.
 * @throws PatchbayError `input.invalid` for what is no token, `file.unreadable`
 */
export async function readToken(env: Environment): Promise<Secret | null> {
  if (isTrue(env['HF_HUB_DISABLE_IMPLICIT_TOKEN'])) return null
  const given = (env['HF_TOKEN'] ?? env['HUGGING_FACE_HUB_TOKEN'] ?? '').trim()
  if (given !== '') return new Secret(given, 'HF_TOKEN')
  const file = folder(env['HF_TOKEN_PATH'] || path.join(homeFolder(env), 'token'), env)
  const stored = (await readStart(file))?.trim() ?? ''
  return stored === '' ? null : new Secret(stored, file)
}

async function readStart(file: string): Promise<string | null> {
  try {
    const handle = await open(file, 'r')
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(longestTokenFile), 0, longestTokenFile, 0)
      return buffer.toString('utf8', 0, bytesRead)
    } finally {
      await handle.close()
    }
  } catch (cause) {
    const failure = readFailure(file, cause)
    if (failure.code === 'file.missing') return null
    throw failure
  }
}
