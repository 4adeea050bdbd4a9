// Transformations, field defaults and overrides, all by @grafana/data.
import {
  FieldColorModeId, FieldConfigOptionsRegistry, FieldType, ThresholdsMode, applyFieldOverrides, cacheFieldDisplayNames, displayNameOverrideProcessor,
  identityOverrideProcessor, numberOverrideProcessor, standardTransformers, standardTransformersRegistry,
  thresholdsOverrideProcessor, transformDataFrame,
} from '@grafana/data';
import type { DataFrame, Field, FieldConfigPropertyItem, FieldConfigSource, GrafanaTheme2 } from '@grafana/data';
import { cloneDeep, defaultsDeep } from 'lodash';
import { lastValueFrom } from 'rxjs';
import { defaultsOf } from './defaults';
import type { Panel } from './types';

// One is listed twice, under its older name too.
const transformers = [...new Set(Object.values(standardTransformers))];
const aliases: Record<string, string[]> = { joinByField: ['seriesToColumns'] };
standardTransformersRegistry.setInit(() =>
  transformers.map((transformation: any) => ({
    id: transformation.id,
    aliasIds: aliases[transformation.id],
    name: transformation.name,
    transformation: () => Promise.resolve(transformation),
    editor: () => null,
    imageDark: '',
    imageLight: '',
  }))
);

export async function transform(panel: Panel, frames: DataFrame[], interpolate: (text: string) => string): Promise<DataFrame[]> {
  const transformations = panel.transformations ?? [];
  // Grafana's own code passes the data on when it does not know a transformation.
  const unknown = transformations.find(({ id }) => !standardTransformersRegistry.getIfExists(id));
  if (unknown) throw new Error(`transformation "${unknown.id}" is not supported`);
  return lastValueFrom(transformDataFrame(transformations, frames, { interpolate }));
}

const always = () => true;
const onNumbers = (field: Field) => field.type === FieldType.number;

function property(id: string, process: any = identityOverrideProcessor, shouldApply: (field: Field) => boolean = always): FieldConfigPropertyItem {
  return { id, path: id, name: id, process, shouldApply, override: () => null, editor: () => null } as any;
}

const STANDARD = [
  property('displayName', displayNameOverrideProcessor),
  property('unit'),
  property('decimals', numberOverrideProcessor, onNumbers),
  property('min', numberOverrideProcessor, onNumbers),
  property('max', numberOverrideProcessor, onNumbers),
  property('fieldMinMax', identityOverrideProcessor, onNumbers),
  property('noValue'),
  property('color'),
  property('thresholds', thresholdsOverrideProcessor),
  property('mappings', identityOverrideProcessor, (field) => field.type !== FieldType.time),
  property('links'),
  property('filterable'),
  property('description'),
];

/**
 * Grafana keeps a list of the custom options of each panel type. Here they are those that the panel uses.
 * As there, those of graphs are not for the time: a label of the y axis does not go to the x axis.
 */
function registryFor(type: string, { defaults, overrides }: FieldConfigSource<any>): FieldConfigOptionsRegistry {
  const shouldApply = type === 'table' ? always : (field: Field) => field.type !== FieldType.time;
  const names = new Set([
    ...Object.keys(defaults.custom ?? {}),
    ...overrides.flatMap(({ properties }) => properties.flatMap(({ id }) => /^custom\.(.+)/.exec(id)?.[1] ?? [])),
  ]);
  const custom = [...names].map((name) => ({ ...property(`custom.${name}`, identityOverrideProcessor, shouldApply), path: name, isCustom: true }));
  return new FieldConfigOptionsRegistry(() => [...STANDARD, ...custom]);
}

/** JSON has no infinity: the first threshold is saved as null. */
function restoreInfinity(thresholds: any) {
  for (const step of thresholds?.steps ?? []) step.value ??= -Infinity;
}

export function fieldConfigOf(panel: Panel): FieldConfigSource<any> {
  const config = cloneDeep(panel.fieldConfig ?? { defaults: {}, overrides: [] });
  config.overrides ??= [];
  restoreInfinity(config.defaults?.thresholds);
  for (const rule of config.overrides) {
    for (const { id, value } of rule.properties) if (id === 'thresholds') restoreInfinity(value);
  }
  const { color, custom } = defaultsOf(panel.type);
  config.defaults = defaultsDeep(config.defaults ?? {}, {
    color: { mode: color ?? FieldColorModeId.Thresholds },
    custom,
  });
  config.defaults.thresholds ??= {
    mode: ThresholdsMode.Absolute,
    steps: [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }],
  };
  return config;
}

export function applyFieldConfig(
  type: string, fieldConfig: FieldConfigSource<any>, frames: DataFrame[], theme: GrafanaTheme2, replaceVariables: (text: string) => string
): DataFrame[] {
  const fieldConfigRegistry = registryFor(type, fieldConfig);
  const applied = applyFieldOverrides({ data: frames, fieldConfig, fieldConfigRegistry, replaceVariables, theme, timeZone: 'utc' });
  cacheFieldDisplayNames(applied);
  return applied;
}
