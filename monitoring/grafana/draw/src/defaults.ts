// What a panel does when its JSON does not say. From @grafana/schema, and where that has nothing, as in Grafana's panels.
import * as bargauge from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import * as stat from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import * as statetimeline from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import * as table from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import * as text from '@grafana/schema/dist/esm/raw/composable/text/panelcfg/x/TextPanelCfg_types.gen';
import { cloneDeep, defaultsDeep } from 'lodash';

interface Defaults {
  options: any;
  custom?: any;
  color?: string;
}

const legend = { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [] };
const reduceOptions = { values: false, calcs: ['lastNotNull'], fields: '' };

const DEFAULTS: Record<string, Defaults> = {
  timeseries: {
    options: { legend },
    color: 'palette-classic',
    custom: {
      drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', barAlignment: 0,
      barWidthFactor: 0.6, showPoints: 'auto', pointSize: 5, spanNulls: false, axisPlacement: 'auto', axisColorMode: 'text',
      scaleDistribution: { type: 'linear' }, stacking: { mode: 'none', group: 'A' }, thresholdsStyle: { mode: 'off' },
    },
  },
  stat: { options: { ...stat.defaultOptions, reduceOptions, orientation: 'auto' } },
  bargauge: { options: { ...bargauge.defaultOptions, reduceOptions, orientation: 'auto' } },
  table: { options: table.defaultOptions, custom: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false } },
  text: { options: text.defaultOptions },
  'state-timeline': { options: { ...statetimeline.defaultOptions, legend }, custom: statetimeline.defaultFieldConfig },
};

export function defaultsOf(type: string): Defaults {
  return DEFAULTS[type] ?? { options: {} };
}

export function optionsOf(type: string, options: any): any {
  return defaultsDeep(cloneDeep(options ?? {}), cloneDeep(defaultsOf(type).options));
}
