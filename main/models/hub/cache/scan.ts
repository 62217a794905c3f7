/**
 * What models lie in a Hugging Face cache, whoever downloaded them. Reads names, sizes and configurations only; a
 * repository that can't be read hides no other.
 */
import { readFile, readdir } from 'node:fs/promises'
import path from 'node:path'
import { toWire } from '../../../../preload/errors'
import type { CachedModel, CachedModels } from '../../../../preload/hub'
import { readFailure } from '../../formats/malformed'
import { repoOfFolder, sizeOf } from './layout'
import { readSnapshot } from './snapshot'

/** A folder nested deeper than this is no snapshot and no branch. */
const deepest = 5
const longestRef = 200

/** All models of a cache folder by repository; none where there is no such folder. */
export async function scanCache(cache: string): Promise<CachedModels> {
  const found: CachedModels = { models: [], broken: [] }
  const attempt = async (folder: string, action: () => Promise<void>): Promise<void> => {
    try {
      await action()
    } catch (error) {
      found.broken.push({ folder, error: toWire(readFailure(folder, error)) })
    }
  }
  await attempt(cache, async () => {
    for (const name of await namesIn(cache)) {
      const repoId = repoOfFolder(name)
      const root = path.join(cache, name)
      if (repoId !== null)
        await attempt(root, async () => void found.models.push(...(await repositoryModels(repoId, root))))
    }
  })
  return found
}

async function repositoryModels(repoId: string, root: string): Promise<CachedModel[]> {
  const refs = await readRefs(path.join(root, 'refs'))
  const models: CachedModel[] = []
  for (const commit of await namesIn(path.join(root, 'snapshots'))) {
    const folder = path.join(root, 'snapshots', commit)
    const whose = { repoId, commit, folder, refs: refs.get(commit) ?? [] }
    models.push(...(await readSnapshot(whose, await filesBelow(folder))))
  }
  return models
}

/** Branches and tags by the commit they are at. */
async function readRefs(folder: string): Promise<Map<string, string[]>> {
  const refs = new Map<string, string[]>()
  for (const name of await filesBelow(folder)) {
    const file = path.join(folder, name)
    if (((await sizeOf(file)) ?? Infinity) > longestRef) continue
    const commit = (await readFile(file, 'utf8')).trim()
    refs.set(commit, [...(refs.get(commit) ?? []), name])
  }
  return refs
}

/** What a folder holds, in order; nothing where it is not there or is a file. */
async function entriesOf(folder: string) {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch (cause) {
    const failure = readFailure(folder, cause)
    if (failure.code === 'file.missing') return []
    throw failure
  }
}

const namesIn = async (folder: string): Promise<string[]> =>
  (await entriesOf(folder)).map((entry) => entry.name)

/** Names of all files below a folder, with `/` between folders. */
async function filesBelow(folder: string, depth = 0): Promise<string[]> {
  if (depth > deepest) return []
  const found: string[] = []
  for (const entry of await entriesOf(folder)) {
    const below = entry.isDirectory() ? await filesBelow(path.join(folder, entry.name), depth + 1) : null
    found.push(...(below?.map((name) => `${entry.name}/${name}`) ?? [entry.name]))
  }
  return found
}
