import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    // A table that is laid out as a grid loses its meaning in some browsers unless its roles are said again.
    warningFilter: (warning) => warning.code !== 'a11y_no_redundant_roles',
  },
};
