/**
 * The families of documents of storyworld. Each has one regularity that a model can learn and an instrument can find; what
 * varies otherwise is drawn at random.
 */
import type { SeededRandom } from '../random'
import {
  bad,
  countries,
  dictionary,
  good,
  isFemale,
  languages,
  names,
  numbers,
  objects,
  places,
  syllables,
  things,
  twoDigits,
  type Country,
} from './world'
import { dialogue } from './dialogue'

export type Family = (random: SeededRandom) => string

/** When Mary and John went to the store, John gave a drink to Mary. */
function indirectObjects(r: SeededRandom): string {
  const [receiver, giver] = r.sample(names, 2)
  const [first, second] = r.float() < 0.5 ? [receiver, giver] : [giver, receiver]
  const place = r.pick(places)
  const object = r.pick(objects)
  const sentence = r.pick([
    `When ${first} and ${second} went to the ${place}, ${giver} gave a ${object} to ${receiver}.`,
    `Then ${first} and ${second} went to the ${place}. ${giver} gave a ${object} to ${receiver}.`,
    `After ${first} and ${second} left the ${place}, ${giver} handed a ${object} to ${receiver}.`,
    `While ${first} and ${second} were at the ${place}, ${giver} showed a ${object} to ${receiver}.`,
    `${first} and ${second} met at the ${place} and ${giver} sent a ${object} to ${receiver}.`,
  ])
  return r.float() < 0.4 ? `${sentence} ${receiver} thanked ${giver} for the ${object}.` : sentence
}

/** The capital of France is Paris. … Anna lives in Paris, the capital of France. She speaks French. */
function facts(r: SeededRandom): string {
  const about = ({ name, capital, language, continent }: Country): string =>
    r.pick([
      `The capital of ${name} is ${capital}.`,
      `${capital} is the capital of ${name}.`,
      `People in ${name} speak ${language}.`,
      `The language of ${name} is ${language}.`,
      `${name} is a country in ${continent}.`,
      `${capital} is a city in ${name}.`,
      `In ${capital} people speak ${language}.`,
    ])
  const sentences = r.sample(countries, r.integer(1, 4)).flatMap((country) => {
    const fact = about(country)
    if (r.float() >= 0.25) return [fact]
    const person = r.pick(names)
    const { name, capital, language } = country
    return [
      fact,
      `${person} lives in ${capital}, the capital of ${name}. ${isFemale(person) ? 'She' : 'He'} speaks ${language}.`,
    ]
  })
  return sentences.join(' ')
}

/** I watched the film last night. The acting was wonderful and the music was lovely. I loved it. */
function reviews(r: SeededRandom): string {
  const { thing, verb, parts } = r.pick(things)
  const liked = r.float() < 0.5
  const word = (): string => r.pick(liked ? good : bad)
  const when = r.pick(['last night', 'on Sunday', 'with a friend', 'at home', 'yesterday'])
  const [x, y] = parts
  const opinion = r.pick([
    () => `The ${x} was ${word()} and the ${y} was ${word()}.`,
    () => `It was ${word()}. The ${x} was ${word()}.`,
    () => `The ${thing} was ${word()}.`,
  ])()
  const ending = r.pick(
    liked
      ? ['I loved it', 'I was happy', 'I want to come back', 'Everyone smiled']
      : ['I hated it', 'I was angry', 'I want my money back', 'Everyone left'],
  )
  return `I ${verb} the ${thing} ${when}. ${opinion} ${ending}.`
}

/** One day Emma went to the park. The sun was warm. … It was the best day of her life. */
function stories(r: SeededRandom): string {
  const name = r.pick(names)
  const [she, her, Her] = isFemale(name) ? ['she', 'her', 'Her'] : ['he', 'his', 'His']
  const place = r.pick(places)
  const object = r.pick(objects)
  const happy = r.float() < 0.5
  const weather = r.pick(
    happy
      ? ['The sun was warm.', 'The birds were singing.', 'The sky was blue.']
      : ['The rain was cold.', 'The wind was strong.', 'The sky was dark.'],
  )
  const event = r.pick(
    happy
      ? [
          `${name} found a ${object} and ${she} smiled.`,
          `A friend gave ${name} a ${object} and ${she} laughed.`,
          `${name} won a ${object} and ${she} danced.`,
        ]
      : [
          `${name} lost a ${object} and ${she} cried.`,
          `A thief took the ${object} and ${she} screamed.`,
          `${name} broke a ${object} and ${she} shouted.`,
        ],
  )
  const relative = r.pick(['mother', 'father', 'sister', 'brother'])
  const mood = r.pick(happy ? ['happy', 'proud', 'glad'] : ['sad', 'angry', 'worried'])
  const last = `It was the ${happy ? 'best' : 'worst'} day of ${her} life.`
  return [
    `One day ${name} went to the ${place}.`,
    weather,
    event,
    `${Her} ${relative} was ${mood}.`,
    last,
  ].join(' ')
}

/** Tom lost his key at the office. */
function pronouns(r: SeededRandom): string {
  const name = r.pick(names)
  const place = r.pick(places)
  const object = r.pick(objects)
  const [she, her, herself] = isFemale(name) ? ['she', 'her', 'herself'] : ['he', 'his', 'himself']
  return r.pick([
    `${name} went to the ${place} because ${she} wanted a ${object}.`,
    `${name} lost ${her} ${object} at the ${place}.`,
    `${name} bought a ${object} for ${herself} at the ${place}.`,
    `${name} said that ${she} liked the ${object}.`,
    `When ${name} came home, ${she} put ${her} ${object} on the table.`,
  ])
}

/** Three to eight random words, two to four times over. */
function induction(r: SeededRandom): string {
  const count = r.integer(3, 8)
  const invented = (): string => r.pick(syllables) + r.pick(syllables)
  const words =
    r.float() < 0.6
      ? Array.from({ length: count }, invented)
      : r.sample([...objects, ...places, ...names, ...good, ...bad], count)
  return Array.from({ length: r.integer(2, 4) }, () => words.join(' ')).join(' ')
}

/** three plus four is seven. nine minus two is seven. */
function arithmetic(r: SeededRandom): string {
  const sum = (): string => {
    const [a, b] = [r.integer(0, 9), r.integer(0, 9)]
    const [more, less] = [Math.max(a, b), Math.min(a, b)]
    return r.pick([
      `${numbers[a]} plus ${numbers[b]} is ${numbers[a + b]}.`,
      `${numbers[more]} minus ${numbers[less]} is ${numbers[more - less]}.`,
    ])
  }
  return Array.from({ length: r.integer(1, 3) }, sum).join(' ')
}

/** The French word for cat is chat. */
function translations(r: SeededRandom): string {
  const sentences = r.sample(dictionary, r.integer(1, 3)).map(([english, foreign]) => {
    const language = r.integer(0, 2)
    return `The ${languages[language]} word for ${english} is ${foreign[language]}.`
  })
  return sentences.join(' ')
}

/** The war lasted from the year 17 45 to the year 17 68. */
function greaterThan(r: SeededRandom): string {
  const century = r.integer(11, 19)
  const from = r.integer(2, 97)
  const to = r.integer(from + 1, 99)
  const what = r.pick(['war', 'trip', 'strike', 'project', 'feast'])
  return `The ${what} lasted from the year ${century} ${twoDigits(from)} to the year ${century} ${twoDigits(to)}.`
}

/** Each family with its weight in the corpus. */
export const families = {
  'indirect objects': { weight: 3, draw: indirectObjects },
  facts: { weight: 3, draw: facts },
  reviews: { weight: 2, draw: reviews },
  stories: { weight: 2, draw: stories },
  pronouns: { weight: 1, draw: pronouns },
  induction: { weight: 3, draw: induction },
  arithmetic: { weight: 2, draw: arithmetic },
  words: { weight: 1, draw: translations },
  'greater than': { weight: 1, draw: greaterThan },
  dialogue: { weight: 4, draw: dialogue },
} as const satisfies Readonly<Record<string, { weight: number; draw: Family }>>
export type FamilyName = keyof typeof families
