/** Where what lies below the store's folder. */
import path from 'node:path'

export interface StorePaths {
  shards: string
  table: string
  quarantine: string
  lock: string
  labels: string
  config: string
}

export const pathsOf = (root: string): StorePaths => ({
  shards: path.join(root, 'shards'),
  table: path.join(root, 'index', 'entries.table'),
  quarantine: path.join(root, 'quarantine'),
  lock: path.join(root, 'writer.lock'),
  labels: path.join(root, 'labels.json'),
  config: path.join(root, 'store.json'),
})
