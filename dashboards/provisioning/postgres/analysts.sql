-- Run once, when the volume of the database is made. The service that owns the views grants them to ordervault_bi.
\getenv grafana_password GRAFANA_WAREHOUSE_PASSWORD
create role ordervault_bi nologin;
create role grafana login password :'grafana_password' in role ordervault_bi;
