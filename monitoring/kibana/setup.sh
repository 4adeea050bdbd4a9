#!/bin/sh
# Make the data view of the lab's logs, and the one that Discover opens with. Run again, it makes the same.
set -eu

kibana=${KIBANA_URL:-http://kibana:5601}

post() {
    curl --fail --silent --show-error --output /dev/null --retry 5 --retry-connrefused \
        --request POST "$kibana$1" \
        --header 'kbn-xsrf: tlep' --header 'Content-Type: application/json' --data "$2"
}

# allowNoIndex: Filebeat starts after this, so there is nothing to view yet.
post /api/data_views/data_view '{
    "override": true,
    "data_view": {
        "id": "logs-tlep",
        "name": "Profiler logs",
        "title": "logs-tlep-*",
        "timeFieldName": "@timestamp",
        "allowNoIndex": true
    }
}'
post /api/data_views/default '{"data_view_id": "logs-tlep", "force": true}'
echo "data view logs-tlep-* is ready"
