import type { ESLint } from 'eslint'

export const ROOMS: readonly string[]
/** Why a file in `from` may not import `to` (repository-relative paths), or null where it may. */
export function forbidden(from: string, to: string): string | null
declare const plugin: ESLint.Plugin
export default plugin
