// The parts of a dashboard's JSON that are read here. schema.mjs checks the whole of it.
import type { DataFrame, DataTransformerConfig, FieldConfigSource, TimeRange } from '@grafana/data';

export interface Target {
  refId: string;
  expr?: string;
  datasource?: { type?: string; uid?: string } | string | null;
  format?: 'time_series' | 'table';
  legendFormat?: string;
  interval?: string;
  instant?: boolean;
  range?: boolean;
  exemplar?: boolean;
  hide?: boolean;
}

export interface Panel {
  id: number;
  type: string;
  title?: string;
  description?: string;
  transparent?: boolean;
  gridPos: { x: number; y: number; w: number; h: number };
  datasource?: Target['datasource'];
  targets?: Target[];
  fieldConfig?: FieldConfigSource<any>;
  options?: any;
  transformations?: DataTransformerConfig[];
  interval?: string;
  maxDataPoints?: number;
  timeFrom?: string;
  repeat?: string;
  collapsed?: boolean;
  panels?: Panel[];
}

export interface VariableModel {
  name: string;
  type: string;
  label?: string;
  hide?: number;
  query?: any;
  regex?: string;
  sort?: number;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string;
  current?: { text?: string | string[]; value?: string | string[] };
}

export interface Dashboard {
  uid: string;
  title: string;
  panels?: Panel[];
  templating?: { list?: VariableModel[] };
}

// What draw.mjs hands to the page.
export interface Settings {
  theme: 'light' | 'dark';
  width: number;
  from: number;
  to: number;
  scrapeSeconds: number;
  skip: string[];
  variables: Record<string, string>;
}

// What the page hands back.
export interface Report {
  panels: number;
  errors: Array<{ panel: string; error: string }>;
  empty: string[];
}

// What a panel is drawn from.
export interface PanelData {
  frames: DataFrame[];
  exemplars: DataFrame[];
  timeRange?: TimeRange;
  // Shown in place of a drawing.
  notice?: string;
  error?: string;
}
