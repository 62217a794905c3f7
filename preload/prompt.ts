/** Prompts as a person writes them, and as the model gets them: token by token, with the reason for each. */
import { z } from 'zod'

export const bosPolicies = ['model', 'always', 'never'] as const
export type BosPolicy = (typeof bosPolicies)[number]

export const chatMessage = z.object({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string().max(4_000_000),
})
export type ChatMessage = z.infer<typeof chatMessage>

/** `bos: 'model'` does what the model's own files say. A chat goes through the model's template, once. */
export const promptSpec = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('text'),
    text: z.string().max(4_000_000),
    bos: z.enum(bosPolicies).default('model'),
  }),
  z.object({
    kind: z.literal('chat'),
    messages: z.array(chatMessage).min(1).max(10_000),
    addGenerationPrompt: z.boolean().default(true),
  }),
])
export type PromptSpec = z.infer<typeof promptSpec>
export type PromptSpecInput = z.input<typeof promptSpec>

export const tokenInfo = z.object({
  id: z.number().int(),
  /** The tokenizer's own piece, for example "Ġthe". */
  piece: z.string(),
  /** The text it stands for when decoded alone; holds U+FFFD where it is a part of a character. */
  text: z.string(),
  special: z.boolean(),
})
export type TokenInfo = z.infer<typeof tokenInfo>

export const encodedToken = tokenInfo.extend({
  origin: z.enum(['bos', 'template', 'text', 'eos']),
  /** UTF-16 range in `rendered`, where known. */
  start: z.number().int().nullable(),
  end: z.number().int().nullable(),
})
export type EncodedToken = z.infer<typeof encodedToken>

export const encodedPrompt = z.object({
  tokens: z.array(encodedToken),
  /** What was tokenised, after the template. */
  rendered: z.string(),
  /** Sentences that say which ids were added, and why. */
  notes: z.array(z.string()),
})
export type EncodedPrompt = z.infer<typeof encodedPrompt>
