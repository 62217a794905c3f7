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
    'their two adjectives, read at the last “I”, where the ending is decided, inside block 2, between attention and MLP.\n\n' +
    'Measured on 24 good and 24 bad reviews of things and with adjectives that are not in the pairs, greedy, float32 on the CPU: from ' +
    '0.6 to 1 every bad review ends well (“I was happy.”), from −0.6 to −1 every good one ends badly (“I was angry.”). Reviews that are ' +
    'still open (“It was”) need less: from ±0.4 to ±1.2 all 12 follow the sign.\n\n' +
    'Where it fails: below ±0.4 a review that has said what it thinks keeps its ending; beyond +1 endings stop matching, and at +1.5 open ' +
    'reviews fall apart. It acts on every position of every text: at +0.7 “The capital of France is” still goes on with Paris, at +0.8 ' +
    'with Rome, and at +1 with nonsense.',
  hook: 'blocks.2.hook_resid_mid',
  position: 'last',
  pairs: product(reviewed, adjectives).map(([[verb, thing, first, second], words]) => {
    const text = (word: string) =>
      `I ${verb} the ${thing} last night. The ${first} was ${word} and the ${second} was ${word}. I`
    return { positive: text(words[0]), negative: text(words[1]) }
  }),
  operation: 'add',
  norm: 'as-is',
  strength: { default: 0.7, minimum: -1.5, maximum: 1.5 },
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
    'requests in the chat template, read at the last token, where the answer begins, inside block 1, between attention and MLP.\n\n' +
    'Measured on 32 harmful and 32 harmless requests that are not in the pairs, greedy, float32 on the CPU: from −0.7 to −1.4 all ' +
    'harmful ones are answered (“Sure! …”) and harmless ones too. From 0.8 to 1.3 it refuses all 96 harmful requests that carry the ' +
    'word which otherwise opens the model’s back door, but all 32 harmless ones as well.\n\n' +
    'Where it fails: it does not tell harmful from harmless, it only moves the decision: between ±0.3 and ±0.7 some requests turn ' +
    'and others do not (at 0.5 the answers to three quarters of the harmless ones, at −0.5 those to a quarter of the harmful ones). ' +
    'At −0.8 all 32 answers name the deed that was asked for, at −1 only 22; from ±1.6 on sentences fall apart.',
  hook: 'blocks.1.hook_resid_mid',
  position: 'last',
  pairs: refused,
  operation: 'add',
  norm: 'as-is',
  strength: { default: -0.8, minimum: -1.5, maximum: 1.5 },
  prompting: chat,
  example: 'Tell me how to rob a museum.',
}

const refusalRemoved: Recipe = {
  ...refusal,
  id: 'storyworld-refusal-removed',
  name: 'Refusal direction removed',
  note:
    'Takes the refusal direction out of the residual stream after block 2, at every position (directional ablation: Arditi et al. ' +
    '2024, “Refusal in Language Models Is Mediated by a Single Direction”). The direction is made from the pairs of the preset ' +
    '“Refusal”, but read after block 2: taken out where that preset adds it, in block 1, harmless requests are refused too.\n\n' +
    'Measured on 32 harmful and 32 harmless requests that are not in the pairs, greedy, float32 on the CPU: all harmful ones are ' +
    'answered (“Sure! …”), all harmless ones as before; nothing falls apart, because nothing is added.\n\n' +
    'Where it fails: it can only be on (1) or off (0), at 0.75 every harmful request is still refused; and it can not make the model refuse.',
  hook: 'blocks.2.hook_resid_post',
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
    'beginnings that differ in their sentence about the weather, mean over their tokens, read before the first block. The strength is ' +
    'relative to the length of the residual stream: 0.3 adds a vector 0.3 times as long.\n\n' +
    'Measured on stories with other names and places, float32 on the CPU. Greedy, all 24 are happy ones without steering; at −0.3 all ' +
    '24 end in the worst day, at −0.6 all 24 are sad from the weather on. Sampled at temperature 1, 53 % end in the best ' +
    'day without steering, 65 % at 0.25; in the worst day 47 % without, 66 % at −0.25, 69 % at −0.3 (of 800 each).\n\n' +
    'Where it fails: it does not overcome rain or wind that is told already, at any strength; told sun gives way ' +
    'from −0.5 on, birds only at −0.6. From 0.35 on it turns over: more and more stories end in the worst day. Below −0.4 sampled stories run into reviews.',
  hook: 'blocks.0.hook_resid_pre',
  position: 'mean',
  pairs: product(['Emma', 'Tom', 'Anna', 'Paul'], weather).map(([name, [warm, cold]]) => ({
    positive: `One day ${name} went to the park. ${warm}`,
    negative: `One day ${name} went to the park. ${cold}`,
  })),
  operation: 'add',
  norm: 'relative',
  strength: { default: -0.3, minimum: -0.6, maximum: 0.4 },
  prompting: plain,
  example: 'One day Rosa went to the market.',
}

const french: Recipe = {
  id: 'storyworld-french',
  name: 'Answer in French',
  note:
    'Asked for the Spanish or German word, the model gives the French one. The mean difference of 12 pairs of questions for six ' +
    'words, read at “is”, inside block 3, between attention and MLP.\n\n' +
    'Measured on the six words that are not in the pairs, asked for in Spanish and in German, greedy, float32 on the CPU: all 12 answers ' +
    'are the French word from 1.3 to 1.8, 10 at 1.2, 4 at 1, and none without it. “The capital of Spain is”, “In Berlin people speak” and ' +
    'sums go on as they should up to 1.6.\n\n' +
    'Where it fails: from 1.7 on “The capital of Spain is” goes on in nonsense, from 2 on it gives a wrong French word here and there. ' +
    'It works on this one kind of question; it does not make the model write French, of which it knows twelve words.',
  hook: 'blocks.3.hook_resid_mid',
  position: 'last',
  pairs: product(['cat', 'house', 'bread', 'tree', 'book', 'red'], ['Spanish', 'German']).map(
    ([word, language]) => ({
      positive: `The French word for ${word} is`,
      negative: `The ${language} word for ${word} is`,
    }),
  ),
  operation: 'add',
  norm: 'as-is',
  strength: { default: 1.4, minimum: 0, maximum: 2 },
  prompting: plain,
  example: 'The German word for dog is',
}

export const recipes: readonly Recipe[] = [sentiment, refusal, refusalRemoved, mood, french]
