/** Where what lies below the store's folder. */
import path from 'node:path'

export interface StorePaths {
  root: string
  shards: string
  table: string
  quarantine: string
  lock: string
  labels: string
  config: string
}

export const pathsOf = (root: string): StorePaths => ({
  root,
  shards: path.join(root, 'shards'),
  table: path.join(root, 'index', 'entries.table'),
  quarantine: path.join(root, 'quarantine'),
  lock: path.join(root, 'writer.lock'),
  labels: path.join(root, 'labels.json'),
  config: path.join(root, 'store.json'),
})

/** Folders in which files are written aside before they get their names. */
export const writtenFolders = ({ root, shards, table }: StorePaths): string[] => [
  root,
  shards,
  path.dirname(table),
]
