/**
 * The cache's layout, as huggingface_hub keeps it: `models--owner--name/{blobs,refs,snapshots}`; a blob is named by its
 * hash, a snapshot is a folder of relative links to blobs, a ref is a file that holds a commit.
 */
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { isRepoId } from '../../../../preload/hub'
import { readFailure } from '../../formats/malformed'

const prefix = 'models--'

/**
 * Partial files are named as huggingface_hub names them, `<hash>.<8 hex digits>.incomplete`: it takes random digits for
 * each download, these are always the same, so that another session finds the file and goes on with it.
 */
const ourDigits = '70617463'

export class RepoCache {
  readonly root: string

  /** @param cache the cache folder; `repoId` must be a valid one */
  constructor(
    private readonly cache: string,
    repoId: string,
  ) {
    this.root = path.join(cache, prefix + repoId.replace('/', '--'))
  }

  get blobs(): string {
    return path.join(this.root, 'blobs')
  }

  get snapshots(): string {
    return path.join(this.root, 'snapshots')
  }

  get refs(): string {
    return path.join(this.root, 'refs')
  }

  blob(hash: string): string {
    return path.join(this.blobs, hash)
  }

  partial(hash: string): string {
    return path.join(this.blobs, `${hash}.${ourDigits}.incomplete`)
  }

  /** huggingface_hub locks `<hash>.lock` by a call that Node lacks; this one is ours, among its locks. */
  lock(hash: string): string {
    return path.join(this.cache, '.locks', path.basename(this.root), `${hash}.patchbay.lock`)
  }

  snapshot(commit: string): string {
    return path.join(this.snapshots, commit)
  }

  /** Where a file of a commit is found. `name` must be a valid one. */
  pointer(commit: string, name: string): string {
    return path.join(this.snapshot(commit), ...name.split('/'))
  }

  ref(revision: string): string {
    return path.join(this.refs, ...revision.split('/'))
  }
}

/** The repository whose models lie in a folder of this name; null for data sets, spaces and anything else. */
export function repoOfFolder(folder: string): string | null {
  if (!folder.startsWith(prefix)) return null
  const id = folder.slice(prefix.length).replace('--', '/')
  return isRepoId(id) ? id : null
}

/** Size of a file, links followed; null where there is none. @throws PatchbayError `file.unreadable` */
export async function sizeOf(file: string): Promise<number | null> {
  try {
    const found = await stat(file)
    return found.isFile() ? found.size : null
  } catch (cause) {
    const failure = readFailure(file, cause)
    if (failure.code === 'file.missing') return null
    throw failure
  }
}
