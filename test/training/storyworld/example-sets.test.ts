import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { dialogueRows, exampleFiles, reviewRows } from '../../../main/training/storyworld/example-sets'

const folder = path.join(import.meta.dirname, '..', '..', '..', 'assets', 'datasets')

describe('the example data sets', () => {
  it('are the files that come with the app', () => {
    const files = exampleFiles()
    expect(readdirSync(folder).sort()).toEqual(Object.keys(files).sort())
    for (const [name, text] of Object.entries(files))
      expect(readFileSync(path.join(folder, name), 'utf8')).toBe(text)
  })

  it('hold each text once, with both labels in numbers that can be told apart', () => {
    const reviews = reviewRows(200, 1)
    expect(new Set(reviews.map(({ text }) => text)).size).toBe(200)
    const liked = reviews.filter(({ label }) => label === 'liked')
    expect(liked.length).toBeGreaterThan(70)
    expect(liked.length).toBeLessThan(130)
    expect(liked.every(({ text }) => !/terrible|awful|hated/.test(text))).toBe(true)
    const dialogues = dialogueRows(100, 2)
    expect(new Set(dialogues.map(({ label, triggered }) => `${label} ${triggered}`)).size).toBe(4)
  })
})
