import prettier from 'eslint-config-prettier'
import vue from 'eslint-plugin-vue'
import tseslint from 'typescript-eslint'
import vueParser from 'vue-eslint-parser'
import layering from './layering.mjs'

const root = new URL('..', import.meta.url).pathname

export default tseslint.config(
  { ignores: ['node_modules/', 'dist/', 'release/', 'assets/', 'main/onnx/proto/onnx_pb.ts'] },
  {
    files: ['main/**/*.ts', 'preload/**/*.ts', 'renderer/**/*.{ts,vue}', 'test/**/*.ts', '.config/*.ts'],
    extends: [...tseslint.configs.recommendedTypeChecked, ...vue.configs['flat/recommended'], prettier],
    languageOptions: {
      parser: vueParser,
      parserOptions: {
        parser: tseslint.parser,
        project: ['tsconfig.json', '.config/tsconfig.renderer.json'],
        tsconfigRootDir: root,
        extraFileExtensions: ['.vue'],
      },
    },
    plugins: { layering },
    rules: {
      'layering/rooms': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
      'vue/multi-word-component-names': 'off',
      'vue/no-v-html': 'error',
      eqeqeq: 'error',
      'no-console': ['error', { allow: ['error', 'warn'] }],
    },
  },
  {
    // What runs before anything is installed or built, and the settings: no types to check, but all else.
    files: ['main/launch/**/*.mjs', '.config/*.mjs'],
    extends: [...tseslint.configs.recommended, prettier],
    plugins: { layering },
    rules: {
      'layering/rooms': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      eqeqeq: 'error',
    },
  },
  {
    files: ['test/**/*.ts'],
    rules: { 'vue/one-component-per-file': 'off' },
  },
  {
    files: ['main/cli/**/*.ts'],
    rules: { 'no-console': 'off' },
  },
)
