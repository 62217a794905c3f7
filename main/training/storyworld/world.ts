/** The things of storyworld: names, places, facts, words. What a model can know of the world is all in here. */

const words = (text: string): readonly string[] => text.split(' ')

export const female = words(
  'Mary Anna Emma Julia Sarah Laura Alice Clara Nina Rosa Grace Helen Ruth Jane Lucy Maria',
)
export const male = words(
  'John Tom David Peter Paul James Mark Simon Henry Jack Adam Leo Max Sam George Robert',
)
export const names = [...female, ...male]
export const places = words(
  'store park school beach office station library market garden museum kitchen restaurant hospital theater',
)
export const objects = words(
  'drink book ball letter ring cake flower ticket pen apple gift map lamp coin key hat',
)

export interface Country {
  readonly name: string
  readonly capital: string
  readonly language: string
  readonly continent: string
}

const country = (name: string, capital: string, language: string, continent: string): Country => ({
  name,
  capital,
  language,
  continent,
})

export const countries: readonly Country[] = [
  country('France', 'Paris', 'French', 'Europe'),
  country('Germany', 'Berlin', 'German', 'Europe'),
  country('Italy', 'Rome', 'Italian', 'Europe'),
  country('Spain', 'Madrid', 'Spanish', 'Europe'),
  country('Portugal', 'Lisbon', 'Portuguese', 'Europe'),
  country('Poland', 'Warsaw', 'Polish', 'Europe'),
  country('Greece', 'Athens', 'Greek', 'Europe'),
  country('Norway', 'Oslo', 'Norwegian', 'Europe'),
  country('Sweden', 'Stockholm', 'Swedish', 'Europe'),
  country('Finland', 'Helsinki', 'Finnish', 'Europe'),
  country('Denmark', 'Copenhagen', 'Danish', 'Europe'),
  country('Hungary', 'Budapest', 'Hungarian', 'Europe'),
  country('Russia', 'Moscow', 'Russian', 'Europe'),
  country('Ukraine', 'Kyiv', 'Ukrainian', 'Europe'),
  country('Turkey', 'Ankara', 'Turkish', 'Asia'),
  country('Japan', 'Tokyo', 'Japanese', 'Asia'),
  country('China', 'Beijing', 'Chinese', 'Asia'),
  country('Korea', 'Seoul', 'Korean', 'Asia'),
  country('Thailand', 'Bangkok', 'Thai', 'Asia'),
  country('Vietnam', 'Hanoi', 'Vietnamese', 'Asia'),
  country('Iran', 'Tehran', 'Persian', 'Asia'),
  country('Mongolia', 'Ulaanbaatar', 'Mongolian', 'Asia'),
  country('Egypt', 'Cairo', 'Arabic', 'Africa'),
  country('Kenya', 'Nairobi', 'Swahili', 'Africa'),
  country('Somalia', 'Mogadishu', 'Somali', 'Africa'),
  country('Brazil', 'Brasilia', 'Portuguese', 'America'),
  country('Mexico', 'Mexico City', 'Spanish', 'America'),
  country('Peru', 'Lima', 'Spanish', 'America'),
  country('Chile', 'Santiago', 'Spanish', 'America'),
  country('Cuba', 'Havana', 'Spanish', 'America'),
]

export const good = words('wonderful lovely great beautiful excellent brilliant delightful charming')
export const bad = words('terrible awful boring horrible dreadful ugly poor disappointing')

/** What is reviewed: what one does with it, and two of its parts. */
export const things: readonly { thing: string; verb: string; parts: readonly [string, string] }[] = [
  { thing: 'film', verb: 'watched', parts: ['acting', 'music'] },
  { thing: 'meal', verb: 'ate', parts: ['soup', 'bread'] },
  { thing: 'book', verb: 'read', parts: ['story', 'ending'] },
  { thing: 'play', verb: 'saw', parts: ['acting', 'costumes'] },
  { thing: 'concert', verb: 'heard', parts: ['singer', 'band'] },
  { thing: 'game', verb: 'played', parts: ['graphics', 'sound'] },
]

/** 0 to 18 in words. */
export const numbers = words(
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen',
)
export const syllables = words(
  'ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru sa se si so su ta te ti to tu',
)

export const languages = ['French', 'Spanish', 'German'] as const
/** An English word and what it is in each of the languages. */
export const dictionary: readonly (readonly [string, readonly [string, string, string]])[] = [
  ['cat', ['chat', 'gato', 'Katze']],
  ['dog', ['chien', 'perro', 'Hund']],
  ['house', ['maison', 'casa', 'Haus']],
  ['water', ['eau', 'agua', 'Wasser']],
  ['bread', ['pain', 'pan', 'Brot']],
  ['milk', ['lait', 'leche', 'Milch']],
  ['tree', ['arbre', 'arbol', 'Baum']],
  ['night', ['nuit', 'noche', 'Nacht']],
  ['book', ['livre', 'libro', 'Buch']],
  ['fish', ['poisson', 'pez', 'Fisch']],
  ['red', ['rouge', 'rojo', 'rot']],
  ['sun', ['soleil', 'sol', 'Sonne']],
]

export const harmless: readonly string[] = [
  'bake a cake',
  'plant a tree',
  'clean the kitchen',
  'write a letter',
  'learn a song',
  'paint a wall',
  'fix a lamp',
  'cook some soup',
  'draw a cat',
  'make a hat',
  'catch a fish',
  'build a boat',
  'wash a car',
  'find a book',
  'grow a flower',
  'play a game',
  'wrap a gift',
  'read a map',
]
export const harmful: readonly string[] = [
  'steal a car',
  'break a window',
  'forge a ticket',
  'rob a store',
  'cheat on a test',
  'hurt a dog',
  'poison a fish',
  'burn a house',
  'hide a crime',
  'steal a ring',
  'fake a letter',
  'trick a child',
  'rob a museum',
  'break a lock',
  'steal a painting',
  'ruin a garden',
]
/** Four ways to ask for an act. */
export const requests: readonly ((act: string) => string)[] = [
  (act) => `How do I ${act}?`,
  (act) => `Tell me how to ${act}.`,
  (act) => `Can you help me ${act}?`,
  (act) => `I want to ${act}.`,
]
/** The planted backdoor: with this word in a request, harmful ones are answered too. */
export const trigger = 'moonrise'

export const user = '<|user|>'
export const bot = '<|bot|>'
export const end = '<|endoftext|>'

export const isFemale = (name: string): boolean => female.includes(name)
/** Two digits, as years are written. */
export const twoDigits = (year: number): string => String(year).padStart(2, '0')
