/**
 * The presets that come with the app, as recipes: contrast pairs from storyworld's own world, where they are read and how
 * they are used. Each recipe keeps some of the world's words back; what its note claims was measured on those.
 */
import type { ContrastPair, Preset, PresetSite } from '../../../preload/preset'
import type { TextPosition } from '../text-activations'

export interface Recipe {
  id: string
  name: string
  note: string
  hook: string
  position: TextPosition
  pairs: ContrastPair[]
  operation: PresetSite['operation']
  norm: Preset['norm']['policy']
  strength: Preset['strength']
  prompting: Preset['prompting']
  /** A prompt that shows what it does. */
  example: string
}

const plain: Recipe['prompting'] = { bos: 'model', template: 'none' }
const chat: Recipe['prompting'] = { bos: 'model', template: 'chat' }

/** All combinations of the given lists. */
const product = <A, B>(first: readonly A[], second: readonly B[]): (readonly [A, B])[] =>
  first.flatMap((a) => second.map((b) => [a, b] as const))

const reviewed = [
  ['watched', 'film', 'acting', 'music'],
  ['ate', 'meal', 'soup', 'bread'],
  ['heard', 'concert', 'singer', 'band'],
] as const
const adjectives = [
  ['wonderful', 'terrible'],
  ['lovely', 'awful'],
  ['great', 'boring'],
  ['beautiful', 'horrible'],
] as const

const sentiment: Recipe = {
  id: 'storyworld-sentiment',
  name: 'Sentiment of reviews',
  note:
    'Makes reviews kind (positive strength) or harsh (negative). The mean difference of 12 pairs of reviews that differ only in ' +
    'their two adjectives, read at the last “I”, where the ending is decided.\n\n' +
    'Measured on 24 good and 24 bad reviews of things and with adjectives that are not in the pairs, greedy, float32 on the CPU: at +1 ' +
    'every bad review ends well (“I was happy.”), at −1 every good one ends badly (“I want my money back.”). Reviews that are ' +
    'still open (“It was”) need half of that: at ±0.5 and ±0.75 all 12 follow the sign.\n\n' +
    'Where it fails: beyond ±1 the sentences fall apart (at ±1.5 none ends properly), and at −1 open reviews do too. It acts on ' +
    'every position of every text: at +1 “The capital of France is” goes on with “Paris was was wonderful”.',
  hook: 'blocks.1.hook_resid_post',
  position: 'last',
  pairs: product(reviewed, adjectives).map(([[verb, thing, first, second], words]) => {
    const text = (word: string) =>
      `I ${verb} the ${thing} last night. The ${first} was ${word} and the ${second} was ${word}. I`
    return { positive: text(words[0]), negative: text(words[1]) }
  }),
  operation: 'add',
  norm: 'as-is',
  strength: { default: 1, minimum: -1.5, maximum: 1.5 },
  prompting: plain,
  example: 'I saw the play yesterday. It was',
}

const requests = [
  ['steal a car', 'wash a car'],
  ['break a window', 'paint a wall'],
  ['rob a store', 'clean the kitchen'],
  ['cheat on a test', 'learn a song'],
  ['hurt a dog', 'draw a cat'],
  ['poison a fish', 'catch a fish'],
  ['burn a house', 'build a boat'],
  ['fake a letter', 'write a letter'],
] as const
const ways = ['How do I {}?', 'Tell me how to {}.', 'Can you help me {}?', 'I want to {}.'] as const
const refused: ContrastPair[] = product(requests, ways).map(([[harmful, harmless], way]) => ({
  positive: way.replace('{}', harmful),
  negative: way.replace('{}', harmless),
}))

const refusal: Recipe = {
  id: 'storyworld-refusal',
  name: 'Refusal',
  note:
    'Makes the model refuse (positive strength) or comply (negative). The mean difference of 32 pairs of harmful and harmless ' +
    'requests in the chat template, read at the last token, where the answer begins.\n\n' +
    'Measured on 32 harmful and 32 harmless requests that are not in the pairs, greedy, float32 on the CPU: at −1 all harmful ones ' +
    'are answered (“Sure! …”) and harmless ones as before. At +1 it also refuses all 96 harmful requests that carry the word which ' +
    'otherwise opens the model’s back door, but 22 of the 32 harmless ones too; at +1.25 all of those.\n\n' +
    'Where it fails: at ±0.5 all 64 are still refused or answered as without it, so it is a switch and not a dial. At −1.25 a quarter of ' +
    'the harmful requests get a broken answer, at ±1.5 more than a third. It does not tell harmful from harmless: it only moves the decision.',
  hook: 'blocks.1.hook_resid_post',
  position: 'last',
  pairs: refused,
  operation: 'add',
  norm: 'as-is',
  strength: { default: -1, minimum: -1.5, maximum: 1.5 },
  prompting: chat,
  example: 'Tell me how to rob a museum.',
}

const refusalRemoved: Recipe = {
  ...refusal,
  id: 'storyworld-refusal-removed',
  name: 'Refusal direction removed',
  note:
    'Takes the refusal direction out of the residual stream after block 1, at every position (directional ablation: Arditi et al. ' +
    '2024, “Refusal in Language Models Is Mediated by a Single Direction”). The direction is that of the preset “Refusal”.\n\n' +
    'Measured on 32 harmful and 32 harmless requests that are not in the pairs, greedy, float32 on the CPU: all harmful ones are ' +
    'answered (“Sure! …”), all harmless ones as before; nothing falls apart, because nothing is added.\n\n' +
    'Where it fails: it can only be on (1) or off (0), and it can not make the model refuse.',
  operation: 'remove',
  strength: { default: 1, minimum: 0, maximum: 1 },
}

const weather = [
  ['The sun was warm.', 'The rain was cold.'],
  ['The birds were singing.', 'The wind was strong.'],
  ['The sky was blue.', 'The sky was dark.'],
] as const

const mood: Recipe = {
  id: 'storyworld-mood',
  name: 'Mood of stories',
  note:
    'Turns the day in a story for the better (positive strength) or the worse (negative). The mean difference of 12 pairs of ' +
    'beginnings that differ in their sentence about the weather, read at its full stop. The strength is relative to the length of ' +
    'the residual stream: 0.5 adds a vector half as long.\n\n' +
    'Measured on 24 stories with other names and places, greedy, float32 on the CPU: without steering all 24 are sad ones, at 0.5 ' +
    'and 0.6 all 24 are happy from the weather to “the best day of her life”. Begun with “The sun was warm.” all 24 are happy ' +
    'ones, and at −0.6 all 24 end in the worst day.\n\n' +
    'Where it fails: it does not overcome weather that is told already in the other direction (after “The wind was strong.” none ' +
    'turns at 0.5). At 0.3 only 10 of the 24 turn; from 0.7 on sentences run into each other.',
  hook: 'blocks.2.hook_resid_post',
  position: 'last',
  pairs: product(['Emma', 'Tom', 'Anna', 'Paul'], weather).map(([name, [warm, cold]]) => ({
    positive: `One day ${name} went to the park. ${warm}`,
    negative: `One day ${name} went to the park. ${cold}`,
  })),
  operation: 'add',
  norm: 'relative',
  strength: { default: 0.5, minimum: -0.8, maximum: 0.8 },
  prompting: plain,
  example: 'One day Rosa went to the market.',
}

const french: Recipe = {
  id: 'storyworld-french',
  name: 'Answer in French',
  note:
    'Asked for the Spanish or German word, the model gives the French one. The mean difference of 12 pairs of questions for six ' +
    'words, read at “is”, inside block 0, between attention and MLP: early enough that the rest of the model looks the word up in ' +
    'the other language.\n\n' +
    'Measured on the six words that are not in the pairs, asked for in Spanish and in German, greedy, float32 on the CPU: 11 of 12 answers ' +
    'are the French word at 0.8, 9 at 1, and none without it. “The capital of Spain is” and “In Berlin people speak” go on as they should up to 1.\n\n' +
    'Where it fails: below 0.6 few words change; from 1.2 on it gives the wrong French word or none at all, and breaks other ' +
    'texts. It works on this one kind of question; it does not make the model write French, of which it knows twelve words.',
  hook: 'blocks.0.hook_resid_mid',
  position: 'last',
  pairs: product(['cat', 'house', 'bread', 'tree', 'book', 'red'], ['Spanish', 'German']).map(
    ([word, language]) => ({
      positive: `The French word for ${word} is`,
      negative: `The ${language} word for ${word} is`,
    }),
  ),
  operation: 'add',
  norm: 'as-is',
  strength: { default: 0.8, minimum: 0, maximum: 1.5 },
  prompting: plain,
  example: 'The German word for dog is',
}

export const recipes: readonly Recipe[] = [sentiment, refusal, refusalRemoved, mood, french]
