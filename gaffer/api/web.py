"""Names for plugins that serve HTTP: routes, requests, feeds, websockets and SockJS.

Names are imported when they are first used (PEP 562). ``docs/python.rst`` describes each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaffer import lazy_names

if TYPE_CHECKING:  # what __getattr__ finds, for tools that read the types
    from gaffer.commands.command import JOB as JOB
    from gaffer.commands.command import Arg as Arg
    from gaffer.commands.schemas import BOOLEAN as BOOLEAN
    from gaffer.commands.schemas import COUNT as COUNT
    from gaffer.commands.schemas import FULL_NAME as FULL_NAME
    from gaffer.commands.schemas import LABEL as LABEL
    from gaffer.commands.schemas import OBJECT as OBJECT
    from gaffer.commands.schemas import OK as OK
    from gaffer.commands.schemas import PIDS as PIDS
    from gaffer.commands.schemas import PLAIN_NAME as PLAIN_NAME
    from gaffer.commands.schemas import SECONDS as SECONDS
    from gaffer.commands.schemas import SHORT_NAME as SHORT_NAME
    from gaffer.commands.schemas import STRING as STRING
    from gaffer.commands.schemas import TIME as TIME
    from gaffer.commands.schemas import Schema as Schema
    from gaffer.commands.schemas import definitions as definitions
    from gaffer.commands.schemas import listed as listed
    from gaffer.commands.schemas import or_null as or_null
    from gaffer.commands.schemas import refer as refer
    from gaffer.commands.schemas import returns as returns
    from gaffer.events.time_slice import TimeSlice as TimeSlice
    from gaffer.web.application import App as App
    from gaffer.web.live.channel_session import ChannelSession as ChannelSession
    from gaffer.web.live.feed_parameters import EVENT_STREAM as EVENT_STREAM
    from gaffer.web.live.feed_parameters import FEED as FEED
    from gaffer.web.live.feed_parameters import HEARTBEAT as HEARTBEAT
    from gaffer.web.live.feed_parameters import LINES as LINES
    from gaffer.web.live.feed_parameters import LIVE as LIVE
    from gaffer.web.live.feed_parameters import SINCE as SINCE
    from gaffer.web.live.feed_parameters import TAIL as TAIL
    from gaffer.web.live.feeds import FeedRequest as FeedRequest
    from gaffer.web.live.feeds import follow as follow
    from gaffer.web.live.feeds import read_count as read_count
    from gaffer.web.live.feeds import read_feed_request as read_feed_request
    from gaffer.web.live.sources import EventsSource as EventsSource
    from gaffer.web.live.sources import FollowerSource as FollowerSource
    from gaffer.web.live.sources import HoldingSource as HoldingSource
    from gaffer.web.live.sources import LiveItem as LiveItem
    from gaffer.web.live.sources import OutputSource as OutputSource
    from gaffer.web.live.sources import PolledSource as PolledSource
    from gaffer.web.live.sources import PositionIds as PositionIds
    from gaffer.web.live.sources import Wakeable as Wakeable
    from gaffer.web.live.sources import position_ids as position_ids
    from gaffer.web.live.sources import start_position as start_position
    from gaffer.web.openapi.openapi import DescriptionContext as DescriptionContext
    from gaffer.web.openapi.openapi import describe as describe
    from gaffer.web.openapi.page import page_reply as page_reply
    from gaffer.web.openapi.page import render as render
    from gaffer.web.requests.access_guard import AccessGuard as AccessGuard
    from gaffer.web.requests.access_rules import AccessRules as AccessRules
    from gaffer.web.requests.authentication import ACCESS as ACCESS
    from gaffer.web.requests.authentication import IDENTITY as IDENTITY
    from gaffer.web.requests.authentication import ORIGIN as ORIGIN
    from gaffer.web.requests.authentication import REQUIRED as REQUIRED
    from gaffer.web.requests.authentication import client_of as client_of
    from gaffer.web.requests.authentication import origin_of as origin_of
    from gaffer.web.requests.forwarded import Proxies as Proxies
    from gaffer.web.requests.forwarded import ProxyList as ProxyList
    from gaffer.web.requests.host_header import is_loopback as is_loopback
    from gaffer.web.requests.replies import COMMON_HEADERS as COMMON_HEADERS
    from gaffer.web.requests.replies import TEXT_MEDIA as TEXT_MEDIA
    from gaffer.web.requests.replies import Reply as Reply
    from gaffer.web.requests.replies import encode_json as encode_json
    from gaffer.web.requests.replies import reply as reply
    from gaffer.web.requests.request import Request as Request
    from gaffer.web.requests.routes import INVISIBLE_CHARACTERS as INVISIBLE_CHARACTERS
    from gaffer.web.requests.routes import PERMISSIONS as PERMISSIONS
    from gaffer.web.requests.routes import Route as Route
    from gaffer.web.requests.routes import check_routes as check_routes
    from gaffer.web.requests.web_origin import check_origin as check_origin
    from gaffer.web.server.connection import ConnectionLimits as ConnectionLimits
    from gaffer.web.server.endpoints import Bound as Bound
    from gaffer.web.server.endpoints import bind_all as bind_all
    from gaffer.web.server.endpoints import bind_for_root as bind_for_root
    from gaffer.web.server.endpoints import check_reach as check_reach
    from gaffer.web.server.endpoints import host_names as host_names
    from gaffer.web.server.endpoints import make_endpoints as make_endpoints
    from gaffer.web.server.endpoints import make_rules as make_rules
    from gaffer.web.server.endpoints import renewed as renewed
    from gaffer.web.server.endpoints import wrong_certificates as wrong_certificates
    from gaffer.web.server.endpoints import wrong_rules as wrong_rules
    from gaffer.web.server.server import HttpServer as HttpServer
    from gaffer.web.sockjs import MAX_UNSENT_CHARACTERS as MAX_UNSENT_CHARACTERS
    from gaffer.web.sockjs import SockJSLimits as SockJSLimits
    from gaffer.web.sockjs.routes import LazyService as LazyService
    from gaffer.web.sockjs.routes import lazy_service as lazy_service
    from gaffer.web.sockjs.routes import sockjs_routes as sockjs_routes
    from gaffer.web.websocket.duplex import run_duplex as run_duplex
    from gaffer.web.websocket.handshake import accept_websocket as accept_websocket
    from gaffer.web.websocket.handshake import check_upgrade as check_upgrade
    from gaffer.web.websocket.late_auth import accept_with_late_auth as accept_with_late_auth
    from gaffer.web.websocket.websocket import WebSocket as WebSocket
    from gaffer.websocket.client import ClientWebSocket as ClientWebSocket
    from gaffer.websocket.frames import CLOSE as CLOSE
    from gaffer.websocket.frames import GOING_AWAY as GOING_AWAY
    from gaffer.websocket.frames import POLICY_VIOLATION as POLICY_VIOLATION
    from gaffer.websocket.frames import TRY_AGAIN_LATER as TRY_AGAIN_LATER
    from gaffer.websocket.frames import FrameError as FrameError

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "commands.command": "Arg JOB",
        "commands.schemas": (
            "BOOLEAN COUNT FULL_NAME LABEL OBJECT OK PIDS PLAIN_NAME SECONDS SHORT_NAME STRING Schema TIME definitions "
            "listed or_null refer returns"
        ),
        "web.application": "App",
        "web.live.channel_session": "ChannelSession",
        "web.live.feed_parameters": "EVENT_STREAM FEED HEARTBEAT LINES LIVE SINCE TAIL",
        "web.live.feeds": "FeedRequest follow read_count read_feed_request",
        "web.live.sources": (
            "EventsSource FollowerSource HoldingSource LiveItem OutputSource PolledSource PositionIds Wakeable "
            "position_ids start_position"
        ),
        "web.openapi.openapi": "DescriptionContext describe",
        "web.openapi.page": "page_reply render",
        "web.requests.access_guard": "AccessGuard",
        "web.requests.access_rules": "AccessRules",
        "web.requests.authentication": "ACCESS IDENTITY ORIGIN REQUIRED client_of origin_of",
        "web.requests.forwarded": "Proxies ProxyList",
        "web.requests.host_header": "is_loopback",
        "web.requests.replies": "COMMON_HEADERS TEXT_MEDIA Reply encode_json reply",
        "web.requests.request": "Request",
        "web.requests.routes": "INVISIBLE_CHARACTERS PERMISSIONS Route check_routes",
        "web.requests.web_origin": "check_origin",
        "web.server.connection": "ConnectionLimits",
        "web.server.endpoints": (
            "Bound bind_all bind_for_root check_reach host_names make_endpoints make_rules renewed "
            "wrong_certificates wrong_rules"
        ),
        "web.server.server": "HttpServer",
        "events.time_slice": "TimeSlice",
        "web.sockjs": "MAX_UNSENT_CHARACTERS SockJSLimits",
        "web.sockjs.routes": "LazyService lazy_service sockjs_routes",
        "web.websocket.duplex": "run_duplex",
        "web.websocket.handshake": "accept_websocket check_upgrade",
        "web.websocket.late_auth": "accept_with_late_auth",
        "web.websocket.websocket": "WebSocket",
        "websocket.client": "ClientWebSocket",
        "websocket.frames": "CLOSE FrameError GOING_AWAY POLICY_VIOLATION TRY_AGAIN_LATER",
    },
)
