import path from 'node:path'

/**
 * The rooms of the house, top to bottom. A file may import from its own room and from rooms further down.
 * `preload` is the contract (schemas, errors, vocabulary): it imports nothing of ours and every room may know it.
 */
export const ROOMS = [
  'main/shell',
  'main/engine',
  'main/cli',
  'main/jobs',
  'main/audit',
  'main/steering',
  'main/extraction',
  'main/collections',
  'main/training',
  'main/analysis',
  'main/datasets',
  'main/cache',
  'main/runtime',
  'main/models',
  'main/onnx',
  'main/files',
]

/** Rooms that stand beside each other: neither may import the other, except where listed. */
const EXCEPTIONS = {
  // The command line drives the engine in its own process.
  'main/cli': ['main/engine'],
  // The shell owns the engine process but shares no code with it beyond the contract, and how files are written.
  'main/shell': ['main/files'],
}

const roomOf = (relative) => {
  if (relative.startsWith('preload/')) return 'preload'
  if (relative.startsWith('renderer/')) return 'renderer'
  if (relative.startsWith('main/launch/')) return 'main/launch'
  return ROOMS.find((room) => relative.startsWith(room + '/')) ?? null
}

/**
 * Why a file in `from` may not import `to`, or null where it may.
 * @param {string} from repository-relative path of the importing file
 * @param {string} to repository-relative path of the imported file
 */
export function forbidden(from, to) {
  const source = roomOf(from)
  const target = roomOf(to)
  if (source === null || target === null || source === target) return null
  if (target === 'preload') return source === 'main/launch' ? 'launch runs before anything is built' : null
  if (source === 'preload') return 'preload is the contract: it imports no other room'
  if (source === 'renderer') return 'the renderer knows only preload'
  if (target === 'renderer') return 'only the renderer may import the renderer'
  if (source === 'main/launch' || target === 'main/launch')
    return 'launch stands alone: plain .mjs, run before install'
  const exceptions = EXCEPTIONS[source]
  if (exceptions !== undefined) {
    const allowed = exceptions.includes(target) || (source !== 'main/shell' && below(source, target))
    return allowed ? null : `${source} may not import ${target}`
  }
  return below(source, target) ? null : `${source} may not import ${target}: imports point down`
}

const below = (source, target) => ROOMS.indexOf(target) > ROOMS.indexOf(source)

/** ESLint plugin with the one rule `layering/rooms`. */
export default {
  rules: {
    rooms: {
      meta: { type: 'problem', schema: [], messages: { upward: 'Layering: {{reason}}.' } },
      create(context) {
        const root = context.cwd
        const from = path.relative(root, context.filename).split(path.sep).join('/')
        const check = (node) => {
          const specifier = node.source?.value
          if (typeof specifier !== 'string' || !specifier.startsWith('.')) return
          const to = path.posix.normalize(path.posix.join(path.posix.dirname(from), specifier))
          const reason = forbidden(from, to + '/')
          if (reason !== null) context.report({ node, messageId: 'upward', data: { reason } })
        }
        return {
          ImportDeclaration: check,
          ExportNamedDeclaration: check,
          ExportAllDeclaration: check,
          ImportExpression: check,
        }
      },
    },
  },
}
