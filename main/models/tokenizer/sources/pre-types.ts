/**
 * How text is cut into words for each pre-tokenizer type that a GGUF file may name (`tokenizer.ggml.pre`). The type is
 * only a name there; what it stands for is the pre-tokenizer in the original models' tokenizer.json, which
 * llama.cpp's llama-vocab.cpp lists.
 */
import { gpt2Words } from '../encoding/pre-tokenizer'

export interface PreType {
  /** patterns, one after the other: matches and what lies between them become words */
  patterns: readonly string[]
  /** a word that is a token as a whole is not merged */
  ignoreMerges?: true
  /** BOS goes before a text unless the file says otherwise */
  addBos?: true
}

const contractions = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)`
/** The words of OpenAI's cl100k and its descendants, which differ in how many digits stay together. */
const cl100k = (digits: string) =>
  contractions +
  String.raw`|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
/** The words of o200k and Tekken: a word may begin a new one at a capital. */
const o200k = (tail: string, digits: string) =>
  String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+${tail}` +
  String.raw`|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*${tail}` +
  String.raw`|${digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`

const gpt2: PreType = { patterns: [gpt2Words] }
const digitsApart: PreType = { patterns: [String.raw`\p{N}`, gpt2Words] }
const oneDigit: PreType = { patterns: [cl100k(String.raw`\p{N}`)] }
const threeDigits: PreType = { patterns: [cl100k(String.raw`\p{N}{1,3}`)] }
const llama3: PreType = { ...threeDigits, ignoreMerges: true, addBos: true }
const bloomWords = String.raw` ?[^(\s|.,!?…。，、।۔،)]+`
const o200kThree: PreType = { patterns: [o200k(`${contractions}?`, String.raw`\p{N}{1,3}`)] }
const deepseek3: PreType = {
  patterns: [
    String.raw`\p{N}{1,3}`,
    '[一-龥぀-ゟ゠-ヿ]+',
    String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_\x60{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ],
}

const byType: Readonly<Record<string, PreType>> = {
  // What llama.cpp falls back to for files that name no type.
  default: {
    patterns: [String.raw`[\p{P}\$\+<=>\^~\|]+`, gpt2Words, String.raw`\p{N}+`, '[0-9][0-9][0-9]'],
  },
  falcon: { patterns: [String.raw`[\p{P}\$\+<=>\^~\|\x60]+`, gpt2Words, '[0-9][0-9][0-9]'] },
  tekken: { patterns: [o200k('', String.raw`\p{N}`)], ignoreMerges: true, addBos: true },
  'deepseek-coder': {
    patterns: [
      String.raw`[\r\n]`,
      String.raw`\s?\p{L}+`,
      String.raw`\s?\p{P}+`,
      '[一-龥ࠀ-一가-퟿]+',
      String.raw`\p{N}`,
    ],
  },
  qwen35: {
    patterns: [
      contractions +
        String.raw`|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
    ],
  },
  'seed-coder': {
    patterns: [
      contractions +
        String.raw`|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+`,
    ],
  },
  viking: { patterns: [bloomWords, String.raw`\p{N}`] },
  glm4: { ...threeDigits, ignoreMerges: true },
  glm5: { ...threeDigits, ignoreMerges: true },
  ...all(gpt2, 'gpt-2', 'phi-2', 'mpt', 'olmo', 'jais', 'trillion', 'granite-docling', 'gigachat', 'mellum'),
  ...all(gpt2, 'modern-bert', 'exaone4', 'a.x-4.0', 'jina-es', 'jina-de', 'jina-v2-es', 'jina-v2-de'),
  ...all(
    digitsApart,
    'smollm',
    'starcoder',
    'refact',
    'command-r',
    'codeshell',
    'exaone',
    'minerva-7b',
    'mellum2',
  ),
  ...all(
    oneDigit,
    'qwen2',
    'stablelm2',
    'deepseek-r1-qwen',
    'megrez',
    'hunyuan',
    'solar-open',
    'grok-2',
    'kormo',
  ),
  ...all(threeDigits, 'dbrx', 'smaug-bpe', 'chatglm-bpe'),
  ...all(llama3, 'llama-bpe', 'llama3', 'llama-v3', 'falcon3', 'falcon-h1', 'pixtral', 'midm-2.0', 'lfm2'),
  ...all({ patterns: [bloomWords] }, 'bloom', 'poro-chat', 'gpt3-finnish'),
  ...all(o200kThree, 'gpt-4o', 'llama4', 'kanana2', 'minimax-m2'),
  ...all(deepseek3, 'deepseek-v3', 'hunyuan-dense', 'joyai-llm'),
}

function all(type: PreType, ...names: string[]): Record<string, PreType> {
  return Object.fromEntries(names.map((name) => [name, type]))
}

/** What the type stands for, or null where it is not known. */
export const preTypeOf = (name: string): PreType | null =>
  Object.hasOwn(byType, name) ? (byType[name] ?? null) : null

export const preTypeNames: readonly string[] = Object.keys(byType)
