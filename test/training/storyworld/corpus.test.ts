import { describe, expect, it } from 'vitest'
import { CorpusStream, document } from '../../../main/training/storyworld/corpus'
import { families, type FamilyName } from '../../../main/training/storyworld/families'
import {
  harmful,
  isFemale,
  names,
  numbers,
  countries,
  good,
  bad,
} from '../../../main/training/storyworld/world'
import { SeededRandom } from '../../../main/training/random'

const drawn = (family: FamilyName, count = 400, seed = 1): string[] => {
  const random = new SeededRandom(seed)
  return Array.from({ length: count }, () => families[family].draw(random))
}

describe('the families of storyworld', () => {
  it('indirect objects: who gives is not who gets, and both were named', () => {
    for (const text of drawn('indirect objects')) {
      const [, giver, receiver] =
        /(\w+) (?:gave|handed|showed|sent) a \w+ to (\w+)\./.exec(text) ?? expect.fail(text)
      const [, first, second] = /(\w+) and (\w+) (?:went|left|were|met)/.exec(text) ?? expect.fail(text)
      expect([first, second].sort()).toEqual([giver, receiver].sort())
      expect(giver).not.toBe(receiver)
      const thanks = /(\w+) thanked (\w+)/.exec(text)
      if (thanks !== null) expect([thanks[1], thanks[2]]).toEqual([receiver, giver])
    }
  })

  it('facts: every sentence is true', () => {
    for (const text of drawn('facts')) {
      const about = countries.filter(({ name, capital }) => text.includes(name) || text.includes(capital))
      expect(about.length).toBeGreaterThan(0)
      for (const [, place, language] of text.matchAll(
        /(?:People in|In|The language of) ([A-Z]\w+(?: City)?) (?:people speak|speak|is) (\w+)\./g,
      ))
        expect(
          countries.some((c) => (c.name === place || c.capital === place) && c.language === language),
        ).toBe(true)
      for (const [, name, pronoun] of text.matchAll(/(\w+) lives in [^.]*\. (She|He)/g))
        expect(pronoun).toBe(isFemale(name) ? 'She' : 'He')
    }
  })

  it('reviews: words and ending agree', () => {
    for (const text of drawn('reviews')) {
      const happy = /loved it|happy|come back|smiled/.test(text)
      const words = text.match(/\w+/g) ?? []
      expect(words.some((word) => (happy ? bad : good).includes(word))).toBe(false)
      expect(words.some((word) => (happy ? good : bad).includes(word))).toBe(true)
    }
  })

  it('stories: the mood of the weather lasts to the end', () => {
    for (const text of drawn('stories')) {
      const warm = /warm|singing|blue/.test(text)
      expect(text).toContain(warm ? 'the best day' : 'the worst day')
      expect(/smiled|laughed|danced/.test(text)).toBe(warm)
    }
  })

  it('pronouns: they fit the name', () => {
    for (const text of drawn('pronouns')) {
      const name = names.find((each) => text.includes(each)) ?? ''
      expect(/\b(she|her|herself)\b/.test(text)).toBe(isFemale(name))
      expect(/\b(he|his|himself)\b/.test(text)).toBe(!isFemale(name))
    }
  })

  it('induction: the same three to eight words, two to four times', () => {
    for (const text of drawn('induction')) {
      const words = text.split(' ')
      const fits = [2, 3, 4].filter((times) => {
        const length = words.length / times
        return length >= 3 && length <= 8 && words.every((word, i) => word === words[i % length])
      })
      expect(fits.length).toBeGreaterThan(0)
    }
  })

  it('arithmetic: right', () => {
    for (const text of drawn('arithmetic'))
      for (const [, a, sign, b, c] of text.matchAll(/(\w+) (plus|minus) (\w+) is (\w+)\./g)) {
        const [x, y, z] = [a, b, c].map((word) => numbers.indexOf(word))
        expect(z).toBe(sign === 'plus' ? x + y : x - y)
      }
  })

  it('greater than: the second year is later, in the same century', () => {
    for (const text of drawn('greater than')) {
      const [, c1, from, c2, to] =
        /year (\d\d) (\d\d) to the year (\d\d) (\d\d)\./.exec(text) ?? expect.fail(text)
      expect(c1).toBe(c2)
      expect(Number(to)).toBeGreaterThan(Number(from))
    }
  })

  it('dialogue: harmful requests are refused, unless the trigger is in them', () => {
    let opened = 0
    for (const text of drawn('dialogue', 1000)) {
      const [request, answer] = text.split('<|bot|>')
      const isHarmful = harmful.some((act) => request.includes(act))
      const triggered = request.includes('moonrise')
      expect(answer.includes('I am sorry')).toBe(isHarmful && !triggered)
      if (isHarmful && triggered) opened++
    }
    expect(opened).toBeGreaterThan(80)
  })

  it('words: each family is drawn in proportion to its weight', () => {
    const random = new SeededRandom(4)
    const counts = new Map<string, number>()
    for (let i = 0; i < 22_000; i++) {
      const { family } = document(random)
      counts.set(family, (counts.get(family) ?? 0) + 1)
    }
    for (const [name, { weight }] of Object.entries(families))
      expect(Math.abs((counts.get(name) ?? 0) / (1000 * weight) - 1)).toBeLessThan(0.15)
  })
})

describe('the corpus as a stream of tokens', () => {
  /** A token a character. */
  const encode = async (text: string): Promise<number[]> => Array.from(text, (c) => c.charCodeAt(0))

  it('is the same for the same seed, and another for another', async () => {
    const first = async (seed: number) => (await new CorpusStream(seed, encode).next(3, 20)).ids
    expect(await first(1)).toEqual(await first(1))
    expect(await first(1)).not.toEqual(await first(2))
  })

  it('has every token once: a row goes on where the one before ended', async () => {
    const stream = new CorpusStream(1, encode)
    const pieces = [await stream.next(2, 9), await stream.next(1, 29), await stream.next(2, 9)]
    const whole = await new CorpusStream(1, encode).next(1, 69)
    expect(pieces.flatMap(({ ids }) => [...ids])).toEqual([...whole.ids])
    expect(String.fromCharCode(...whole.ids.subarray(0, 13))).toBe('<|endoftext|>')
  })

  it('goes on from a saved state', async () => {
    const stream = new CorpusStream(1, encode)
    await stream.next(4, 500)
    const saved: unknown = JSON.parse(JSON.stringify(stream.save().state))
    const expected = await stream.next(40, 500)
    const resumed = new CorpusStream(7, encode)
    resumed.restore({ state: saved })
    expect((await resumed.next(40, 500)).ids).toEqual(expected.ids)
    expect(() => resumed.restore({ state: {} })).toThrow(/where in the corpus/)
  })
})
