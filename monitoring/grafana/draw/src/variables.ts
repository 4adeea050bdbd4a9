// Dashboard variables: their values, and putting them into queries and titles as Grafana does.
import { escapeRegex, rangeUtil, stringToJsRegex } from '@grafana/data';
import { prometheus } from './prometheus';
import type { Settings, VariableModel } from './types';

export interface Variable {
  model?: VariableModel;
  value: string | string[];
  text: string;
}
export type Variables = Map<string, Variable>;

const ALL = '$__all';
const REFERENCE = /\$(\w+)|\$\{(\w+)(?:\.[^:^}]+)?(?::([^}]+))?\}|\[\[(\w+?)(?::(\w+))?\]\]/g;

type Formatter = (value: string | string[], variable: Variable) => string;
const list = (value: string | string[]) => (Array.isArray(value) ? value : [value]);
const alternatives = (values: string[]) => (values.length === 1 ? values[0] : `(${values.join('|')})`);

// Backslashes are doubled because the value ends in a PromQL string, which takes one level of them away.
const escapeInPromql = (value: string) => value.replace(/\\/g, '\\\\').replace(/"/g, '\\"');
const escapeRegexInPromql = (value: string) => value.replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]+?.()|]/g, '\\\\$&');

export const inPromql: Formatter = (value, { model }) =>
  model?.multi || model?.includeAll || Array.isArray(value)
    ? alternatives(list(value).map(escapeRegexInPromql))
    : escapeInPromql(value);
export const inText: Formatter = (_, variable) => variable.text;

const NAMED: Record<string, Formatter> = {
  regex: (value) => alternatives(list(value).map(escapeRegex)),
  pipe: (value) => list(value).join('|'),
  csv: (value) => list(value).join(','),
  raw: (value) => list(value).join(','),
  glob: (value) => (list(value).length > 1 ? `{${list(value).join(',')}}` : list(value)[0]),
  singlequote: (value) => list(value).map((one) => `'${one}'`).join(','),
  doublequote: (value) => list(value).map((one) => `"${one}"`).join(','),
  text: inText,
};

/** A name that is not a variable stays as it is in a title and is an error in a query. */
export function interpolate(text: string, variables: Variables, standard: Formatter): string {
  return text.replace(REFERENCE, (match, plain, braced, format, bracketed, bracketedFormat) => {
    const name = plain ?? braced ?? bracketed;
    const variable = variables.get(name);
    if (!variable) {
      // $1 is a capture group of label_replace().
      if (standard === inText || /^\d+$/.test(name)) return match;
      throw new Error(`no variable ${match}`);
    }
    const named = format ?? bracketedFormat;
    if (named && !NAMED[named]) throw new Error(`variable format ${match} is not supported`);
    const formatter = named ? NAMED[named] : standard;
    // An own "All" value is a regular expression already.
    const isOwnAll = variable.text === 'All' && variable.value === variable.model?.allValue;
    return formatter === inText || !isOwnAll ? formatter(variable.value, variable) : (variable.value as string);
  });
}

export function builtIn(settings: Pick<Settings, 'from' | 'to'>): Variables {
  const seconds = Math.round((settings.to - settings.from) / 1000);
  return constants({
    __from: settings.from,
    __to: settings.to,
    __range: `${seconds}s`,
    __range_s: seconds,
    __range_ms: seconds * 1000,
  });
}

export function constants(values: Record<string, string | number>): Variables {
  return new Map(Object.entries(values).map(([name, value]) => [name, { value: String(value), text: String(value) }]));
}

interface Option {
  value: string;
  text: string;
}

/** The values of all variables of a dashboard, in its order: a later query may use an earlier variable. */
export async function resolve(models: VariableModel[], settings: Settings): Promise<Variables> {
  const variables = builtIn(settings);
  for (const model of models) {
    try {
      const options = sort(filter(await optionsOf(model, variables, settings), model.regex), model.sort ?? 0);
      variables.set(model.name, { model, ...choose(model, options, settings.variables[model.name]) });
    } catch (error) {
      throw new Error(`variable ${model.name}: ${(error as Error).message}`);
    }
  }
  return variables;
}

async function optionsOf(model: VariableModel, variables: Variables, settings: Settings): Promise<Option[]> {
  const query: string = typeof model.query === 'string' ? model.query : (model.query?.query ?? '');
  const same = (values: string[]) => values.map((value) => ({ value, text: value }));
  switch (model.type) {
    case 'query':
      return same(await queried(interpolate(query, variables, inPromql), settings));
    case 'custom':
      // "a, b, text : value"
      return query.split(/(?<!\\),/).filter(Boolean).map((part) => {
        const [text, value] = part.replace(/\\,/g, ',').split(/ : /).map((side) => side.trim());
        return { text, value: value ?? text };
      });
    case 'interval':
      return same(query.split(',').map((one) => one.trim()).filter((one) => one && one !== 'auto' && rangeUtil.intervalToMs(one)));
    case 'datasource':
      // There is one data source here, whatever its name.
      return [{ value: 'prometheus', text: 'Prometheus' }];
    case 'constant':
    case 'textbox':
      return same([query]);
    default:
      throw new Error(`type "${model.type}" is not supported`);
  }
}

async function queried(query: string, settings: Settings): Promise<string[]> {
  const time = { start: settings.from / 1000, end: settings.to / 1000 };
  const labelValues = query.match(/^label_values\((?:(.+),\s*)?([A-Za-z_]\w*)\)\s*$/s);
  if (labelValues) {
    const [, selector, label] = labelValues;
    return prometheus(`label/${label}/values`, { ...time, ...(selector && { 'match[]': selector.trim() }) });
  }
  if (/^label_names\(\)\s*$/.test(query)) return prometheus('labels', time);
  const metrics = query.match(/^metrics\((.*)\)\s*$/);
  if (metrics) {
    const names: string[] = await prometheus('label/__name__/values', time);
    return names.filter((name) => new RegExp(metrics[1]).test(name));
  }
  const result = query.match(/^query_result\((.+)\)\s*$/s);
  if (!result) throw new Error(`query ${query} is not supported`);
  const data = await prometheus('query', { query: result[1], time: time.end });
  return data.result.map(({ metric: { __name__ = '', ...labels }, value }: any) => {
    const pairs = Object.entries(labels).map(([name, text]) => `${name}="${text}"`);
    return `${__name__}{${pairs.join(',')}} ${value[1]} ${value[0] * 1000}`;
  });
}

function filter(options: Option[], regex?: string): Option[] {
  if (!regex) return options;
  const pattern = stringToJsRegex(regex.startsWith('/') ? regex : `/^${regex}$/`);
  pattern.lastIndex = 0;
  const found = new Map<string, Option>();
  for (const option of options) {
    const match = new RegExp(pattern.source, pattern.flags.replace('g', '')).exec(option.value);
    if (!match) continue;
    const value = match.groups?.value ?? match[1] ?? option.value;
    found.set(value, { value, text: match.groups?.text ?? value });
  }
  return [...found.values()];
}

function sort(options: Option[], order: number): Option[] {
  if (!order) return options;
  const number = (text: string) => parseFloat(text.match(/-?\d+(\.\d+)?/)?.[0] ?? '-1');
  const compare: Record<number, (a: Option, b: Option) => number> = {
    1: (a, b) => (a.text < b.text ? -1 : 1),
    3: (a, b) => number(a.text) - number(b.text),
    5: (a, b) => a.text.toLowerCase().localeCompare(b.text.toLowerCase()),
    7: (a, b) => a.text.localeCompare(b.text, undefined, { numeric: true }),
  };
  const sorted = [...options].sort(compare[order % 2 ? order : order - 1]);
  return order % 2 ? sorted : sorted.reverse();
}

/** The value given on the command line, or the saved one, or all, or the first. */
function choose(model: VariableModel, options: Option[], given?: string): Pick<Variable, 'value' | 'text'> {
  const everything = { value: model.allValue || options.map(({ value }) => value), text: 'All' };
  const isAll = (values: string[]) => model.includeAll && values.some((value) => value === ALL || value === 'All');
  if (given !== undefined) {
    const values = model.multi ? given.split(',') : [given];
    return isAll(values) ? everything : pick(model, options, values);
  }
  const saved = list(model.current?.value ?? []).filter((value) => value !== '');
  if (isAll(saved)) return everything;
  const valid = saved.filter((value) => options.some((option) => option.value === value));
  if (valid.length) return pick(model, options, valid);
  if (model.includeAll) return everything;
  return pick(model, options, options.slice(0, 1).map(({ value }) => value));
}

function pick(model: VariableModel, options: Option[], values: string[]) {
  const text = values.map((value) => options.find((option) => option.value === value)?.text ?? value).join(' + ');
  return { value: model.multi ? values : (values[0] ?? ''), text };
}
