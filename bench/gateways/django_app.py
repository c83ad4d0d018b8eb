"""A Django application behind the guard of the example for Flask."""

from __future__ import annotations

import sys
from typing import Any

import django.conf
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from flask_app import guard, presented  # type: ignore[import-not-found]

from rescind_guard.wsgi import GuardedApplication


def orders(_: HttpRequest) -> Any:
    """Answer at once."""
    return JsonResponse(["order 1"], safe=False)


urlpatterns = [path("orders", orders)]
django.conf.settings.configure(
    ROOT_URLCONF=sys.modules[__name__], ALLOWED_HOSTS=["127.0.0.1"]
)
application = GuardedApplication(get_wsgi_application(), guard, presented)
