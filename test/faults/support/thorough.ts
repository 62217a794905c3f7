/** Whether every fault is injected (`npm run test:faults`), or so many of them as `npm test` has time for. */
export const thorough = process.env.npm_lifecycle_event === 'test:faults'
