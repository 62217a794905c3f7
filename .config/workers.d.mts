export const workers: Readonly<Record<string, string>>
