// Bundles src/ and the parts of Grafana that it uses into out/page.js and out/page.css.
import { build as bundle } from 'esbuild';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = fileURLToPath(new URL('.', import.meta.url));
const out = join(here, 'out');
const require = createRequire(import.meta.url);

// Mixing the ES modules of @grafana/ui with the CommonJS packages that they import gives undefined components
// (React error 130): take the CommonJS build of all of @grafana.
const grafanaAsCommonJs = {
  name: 'grafana-as-commonjs',
  setup(build) {
    build.onResolve({ filter: /^@grafana\/(data|i18n|schema|ui)(\/|$)/ }, ({ path }) => ({ path: require.resolve(path) }));
  },
};

function isFresh() {
  const page = join(out, 'page.js');
  if (!existsSync(page)) return false;
  const built = statSync(page).mtimeMs;
  const sources = readdirSync(join(here, 'src')).map((name) => join(here, 'src', name));
  return [...sources, join(here, 'build.mjs'), join(here, 'package.json')].every((file) => statSync(file).mtimeMs < built);
}

export async function build() {
  if (isFresh()) return;
  await bundle({
    absWorkingDir: here,
    entryPoints: { page: 'src/page.tsx' },
    outdir: out,
    bundle: true,
    format: 'iife',
    jsx: 'automatic',
    loader: { '.svg': 'dataurl', '.png': 'dataurl', '.ttf': 'dataurl', '.woff2': 'dataurl' },
    define: { 'process.env.NODE_ENV': '"production"', 'process.env': '{}', global: 'window' },
    plugins: [grafanaAsCommonJs],
    logLevel: 'error',
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await build();
